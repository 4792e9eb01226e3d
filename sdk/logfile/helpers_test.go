package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/logplug/logplug/shared/logdriver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plainFormat is a line `NANOS "text"`.
type plainFormat struct{ Lines }

func (plainFormat) NewEncoder() Encoder { return plainFormat{} }
func (plainFormat) NewDecoder() Decoder { return plainFormat{} }

func (plainFormat) Append(dst []byte, m *logdriver.Message) []byte {
	dst = strconv.AppendInt(dst, m.Timestamp.UnixNano(), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendQuote(dst, string(m.Line))
	return append(dst, '\n')
}

func (plainFormat) Decode(frame []byte, m *logdriver.Message) error {
	when, text, ok := bytes.Cut(bytes.TrimSuffix(frame, newline), []byte{' '})
	n, err := strconv.ParseInt(string(when), 10, 64)
	if !ok || err != nil {
		return errors.New("no record")
	}
	s, err := strconv.Unquote(string(text))
	if err != nil {
		return err
	}
	m.Timestamp = time.Unix(0, n)
	m.Line = append(m.Line, s...)
	return nil
}

func config(t testing.TB) Config {
	return Config{
		Path: filepath.Join(t.TempDir(), "logs", "x.log"), Format: plainFormat{}, Stream: "s",
		OnError: func(err error) { t.Errorf("in the background: %v", err) },
	}
}

func mustOpen(t testing.TB, cfg Config) *Log {
	t.Helper()
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// kill drops a log as the death of its process would.
func kill(l *Log) {
	l.compressor.stop(0)
	l.rebuilder.stop()
	l.retention.stop()
	l.lock.Close()
	l.cur.f.Close()
	l.cur.idx.close()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
}

var epoch = time.Unix(1_700_000_000, 0)

func text(i int) string { return fmt.Sprintf("message %d", i) }

func texts(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, text(i))
	}
	return s
}

// numbered returns messages from to to-1, one a second, with sequences from+1 up.
func numbered(from, to int) []*logdriver.Message {
	var msgs []*logdriver.Message
	for i := from; i < to; i++ {
		msgs = append(msgs, &logdriver.Message{
			Line: []byte(text(i)), Timestamp: epoch.Add(time.Duration(i) * time.Second), Seq: uint64(i + 1),
		})
	}
	return msgs
}

func add(t testing.TB, l *Log, from, to int) {
	t.Helper()
	if err := l.Append(numbered(from, to)); err != nil {
		t.Fatal(err)
	}
}

const patience = 60 * time.Second

// next returns the next message as text, or the end.
func next(t testing.TB, w *logdriver.LogWatcher) (s string, ok bool) {
	t.Helper()
	select {
	case m, ok := <-w.Msg:
		if !ok {
			return "", false
		}
		if m.Err != nil {
			return "error: " + m.Err.Error(), true
		}
		return string(m.Line), true
	case <-time.After(patience):
		t.Fatal("nothing arrives")
		return "", false
	}
}

func take(t testing.TB, w *logdriver.LogWatcher, n int) []string {
	t.Helper()
	var got []string
	for range n {
		s, ok := next(t, w)
		if !ok {
			t.Fatalf("ended after %q: %v", got, ending(w))
		}
		got = append(got, s)
	}
	return got
}

func drainAll(t testing.TB, w *logdriver.LogWatcher) []string {
	t.Helper()
	var got []string
	for {
		s, ok := next(t, w)
		if !ok {
			return got
		}
		got = append(got, s)
	}
}

func ending(w *logdriver.LogWatcher) error {
	select {
	case err := <-w.Err:
		return err
	default:
		return nil
	}
}

type reads interface {
	ReadLogs(context.Context, logdriver.ReadConfig) *logdriver.LogWatcher
}

func expect(t testing.TB, r reads, cfg logdriver.ReadConfig, want []string) {
	t.Helper()
	w := r.ReadLogs(context.Background(), cfg)
	defer w.Close()
	got := drainAll(t, w)
	if !slices.Equal(got, want) {
		t.Errorf("%+v:\ngot  %q\nwant %q", cfg, got, want)
	}
	if err := ending(w); err != nil {
		t.Errorf("%+v: %v", cfg, err)
	}
}

func mustReader(t testing.TB, cfg Config) *Reader {
	t.Helper()
	r, err := OpenReader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// until waits for a condition that another goroutine brings about.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("never: " + what)
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func write(t testing.TB, name, s string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err == nil {
		_, err = f.WriteString(s)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
