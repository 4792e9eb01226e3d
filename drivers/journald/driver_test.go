package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// patience bounds failure.
const patience = time.Minute

// mustOpen opens a log in j.
func mustOpen(t testing.TB, j *receiver.Journald, info logdriver.Info, config map[string]string) *logger {
	t.Helper()
	info.Config = map[string]string{"socket": j.Socket, "directory": j.Directory}
	for k, v := range config {
		info.Config[k] = v
	}
	d := driver()
	opts, err := d.Options(info.Config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := d.Open(t.Context(), info, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*logger)
}

func mustLog(t testing.TB, l *logger, msgs ...*logdriver.Message) {
	t.Helper()
	if err := l.LogBatch(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
}

// logBeside logs msgs meanwhile. The channel that it returns is closed after that, and
// holds an error before.
func logBeside(t testing.TB, l *logger, msgs ...*logdriver.Message) <-chan error {
	logged := make(chan error, 1)
	go func() {
		defer close(logged)
		if err := l.LogBatch(t.Context(), msgs); err != nil {
			logged <- err
		}
	}()
	return logged
}

// receive returns the next message of a follower. logged may be nil, or come from logBeside.
func receive(t testing.TB, w *logdriver.LogWatcher, logged <-chan error) *logdriver.Message {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case m, ok := <-w.Msg:
			if ok && m.Err == nil {
				return m
			}
			select {
			case err := <-w.Err:
				t.Fatalf("the follower has ended: %v", err)
			default:
				t.Fatalf("the follower has got %+v", m)
			}
		case err, failed := <-logged:
			if failed {
				t.Fatal(err)
			}
			logged = nil
		case <-late:
			t.Fatal("the follower gets nothing")
		}
	}
}

// end reads what a follower gets until it ends.
func end(t testing.TB, w *logdriver.LogWatcher) (n int) {
	t.Helper()
	for late := time.After(patience); ; n++ {
		select {
		case _, ok := <-w.Msg:
			if !ok {
				return n
			}
		case <-late:
			t.Fatal("the follower does not end")
		}
	}
}

func mustClose(t testing.TB, l *logger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// readAll reads what l has, and fails on errors in the stream.
func readAll(t testing.TB, l logdriver.LogReader, cfg logdriver.ReadConfig) (msgs []*logdriver.Message) {
	t.Helper()
	for m, err := range l.ReadLogs(context.Background(), cfg).All() {
		if err != nil {
			t.Fatal(err)
		}
		if m.Err != nil {
			t.Fatal(m.Err)
		}
		msgs = append(msgs, m)
	}
	return msgs
}

func TestLargeFields(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	l := mustOpen(t, j, logdriver.Info{ContainerID: "large"}, nil)
	defer mustClose(t, l)
	everything := make([]byte, 256)
	for i := range everything {
		everything[i] = byte(i)
	}
	for i, size := range []int{0, 256, 100 << 10, 1 << 20, 8 << 20} {
		line := bytes.Repeat(everything, size/256)
		at := time.Unix(1_700_000_000, int64(i))
		mustLog(t, l, &logdriver.Message{Line: line, Source: "stdout", Timestamp: at, Seq: uint64(i + 1)})
		got := readAll(t, l, logdriver.ReadConfig{Tail: 1})
		if len(got) != 1 || !bytes.Equal(got[0].Line, append(line, '\n')) || !got[0].Timestamp.Equal(at) {
			t.Errorf("%d bytes came back as %d messages", size, len(got))
		}
	}
}
