package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// numbered returns messages with the sequences from first to last.
func numbered(first, last int) (msgs []*logdriver.Message) {
	for i := first; i <= last; i++ {
		msgs = append(msgs, &logdriver.Message{
			Line: fmt.Appendf(nil, "message %d", i), Source: "stdout", Timestamp: time.Now(), Seq: uint64(i),
		})
	}
	return msgs
}

// wantNumbered checks that msgs are those of numbered(1, last), each once, in order.
func wantNumbered(t *testing.T, msgs []*logdriver.Message, last int) {
	t.Helper()
	for i, m := range msgs {
		if want := fmt.Sprintf("message %d\n", i+1); string(m.Line) != want {
			t.Fatalf("message %d of %d is %q, want %q", i+1, len(msgs), m.Line, want)
		}
	}
	if len(msgs) != last {
		t.Fatalf("%d messages, want %d", len(msgs), last)
	}
}

// eventually tries until f returns nil.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// logRetrying stores msgs as the sdk does, and calls onError after each error.
func logRetrying(t *testing.T, l *logger, msgs []*logdriver.Message, onError func(error)) {
	t.Helper()
	eventually(t, func() error {
		err := l.LogBatch(t.Context(), msgs)
		var part *logdriver.BatchError
		if errors.As(err, &part) {
			msgs = msgs[part.Done:]
		}
		if err != nil {
			onError(err)
		}
		return err
	})
}

// Entries are as Docker's driver writes them.
func TestFields(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	info := logdriver.Info{
		ContainerID: "0123456789abcdef", ContainerName: "/web", ContainerImageName: "nginx:1", Stream: "s",
		ContainerLabels: map[string]string{"com.example.tier": "front", "message": "not the line"}, ContainerEnv: []string{"9_LIVES=yes"},
	}
	l := mustOpen(t, j, info, map[string]string{"labels-regex": ".", "env": "9_LIVES", "tag": "{{.Name}}/{{.ID}}"})
	defer mustClose(t, l)
	at := time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC)
	mustLog(t, l,
		&logdriver.Message{Line: []byte("out"), Source: "stdout", Timestamp: at, Seq: 7, Attrs: []logdriver.Attr{{Key: "level", Value: "warn"}}},
		&logdriver.Message{Line: []byte("err"), Source: "stderr", Timestamp: at, Seq: 8, Partial: logdriver.Partial{ID: "p", Ordinal: 1}},
		&logdriver.Message{Line: []byte("end"), Source: "stderr", Timestamp: at, Seq: 9, Partial: logdriver.Partial{ID: "p", Ordinal: 2, Last: true}},
	)
	out, err := j.Journalctl(t.Context(), "-o", "json", "CONTAINER_ID_FULL=0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	common := map[string]string{
		"CONTAINER_ID": "0123456789ab", "CONTAINER_ID_FULL": "0123456789abcdef", "CONTAINER_NAME": "web", "IMAGE_NAME": "nginx:1",
		"CONTAINER_TAG": "web/0123456789ab", "SYSLOG_IDENTIFIER": "web/0123456789ab", "COM_EXAMPLE_TIER": "front", "N9_LIVES": "yes",
		"CONTAINER_LOG_EPOCH": l.enc.epoch, "SYSLOG_TIMESTAMP": "2024-02-29T12:00:00.123456789Z",
	}
	wants := []map[string]string{
		{"MESSAGE": "out", "PRIORITY": "6", "CONTAINER_LOG_ORDINAL": "7", "LEVEL": "warn"},
		{"MESSAGE": "err", "PRIORITY": "3", "CONTAINER_LOG_ORDINAL": "8", "CONTAINER_PARTIAL_MESSAGE": "true", "CONTAINER_PARTIAL_ID": "p",
			"CONTAINER_PARTIAL_ORDINAL": "1", "CONTAINER_PARTIAL_LAST": "false"},
		{"MESSAGE": "end", "PRIORITY": "3", "CONTAINER_LOG_ORDINAL": "9", "CONTAINER_PARTIAL_ID": "p", "CONTAINER_PARTIAL_ORDINAL": "2",
			"CONTAINER_PARTIAL_LAST": "true"},
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(wants) {
		t.Fatalf("%d entries: %s", len(lines), out)
	}
	for i, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		for _, want := range []map[string]string{common, wants[i]} {
			for k, v := range want {
				if got[k] != v {
					t.Errorf("entry %d: %s is %v, want %q", i, k, got[k], v)
				}
			}
		}
		if _, ok := wants[i]["CONTAINER_PARTIAL_MESSAGE"]; !ok && got["CONTAINER_PARTIAL_MESSAGE"] != nil {
			t.Errorf("entry %d has CONTAINER_PARTIAL_MESSAGE", i)
		}
	}
	got := readAll(t, l, logdriver.ReadConfig{Tail: 3})
	if want := (logdriver.Attr{Key: "com.example.tier", Value: "front"}); !slices.Contains(got[2].Attrs, want) || len(got[0].Attrs) != 4 {
		t.Errorf("attributes %v and %v", got[0].Attrs, got[2].Attrs)
	}
}

// A logger opens while journald is down, says so, and goes on when it is up.
func TestDownAtOpen(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	j.Kill()
	l := mustOpen(t, j, logdriver.Info{ContainerID: "down", Stream: "s"}, nil)
	defer mustClose(t, l)
	if err := l.LogBatch(t.Context(), numbered(1, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("while journald is down: %v", err)
	}
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustLog(t, l, numbered(1, 10)...)
	wantNumbered(t, readAll(t, l, logdriver.ReadConfig{Tail: -1}), 10)
}

// Killed and stopped again and again, journald has everything once, in order, and a
// follower sees that.
func TestRestarts(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	l := mustOpen(t, j, logdriver.Info{ContainerID: "restarts", Stream: "s"}, nil)
	follower := l.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	const rounds, each = 8, 600
	for i := range rounds {
		down := make(chan error, 1)
		go func() {
			if i%2 == 0 {
				j.Kill()
			} else if err := j.Stop(); err != nil {
				down <- err
				return
			}
			down <- j.Start(t.Context())
		}()
		for k := range 6 {
			first := i*each + k*100
			logRetrying(t, l, numbered(first+1, first+100), func(error) {})
		}
		if err := <-down; err != nil {
			t.Fatal(err)
		}
	}
	wantNumbered(t, readAll(t, l, logdriver.ReadConfig{Tail: -1}), rounds*each)
	mustClose(t, l)
	var followed []*logdriver.Message
	for m, err := range follower.All() {
		if err != nil {
			t.Fatal(err)
		}
		followed = append(followed, m)
	}
	wantNumbered(t, followed, rounds*each)
	l = mustOpen(t, j, logdriver.Info{ContainerID: "restarts", Stream: "s"}, nil)
	defer mustClose(t, l)
	if l.LastSeq() != rounds*each {
		t.Errorf("last sequence %d", l.LastSeq())
	}
}

// What exceeds journald's rate limit is an error and stored later, not lost.
func TestRateLimit(t *testing.T) {
	const burst = 50
	j := receiver.StartJournald(t, receiver.JournaldConfig{
		Settings: []string{"RateLimitIntervalSec=2s", fmt.Sprint("RateLimitBurst=", burst)},
		Unit:     "logplug-test.service",
	})
	l := mustOpen(t, j, logdriver.Info{ContainerID: "limited", Stream: "s"}, nil)
	defer mustClose(t, l)
	// journald multiplies the burst by a quarter of the binary logarithm of the room on the
	// disk, in units of 64 KiB.
	const n = burst * 12
	limited := false
	logRetrying(t, l, numbered(1, n), func(err error) { limited = limited || errors.Is(err, errNotStored) })
	wantNumbered(t, readAll(t, l, logdriver.ReadConfig{Tail: -1}), n)
	if !limited {
		t.Error("the limit was not reached")
	}
}

// A driver that was killed while journald had stored only some of what it was sent is
// offered all of that again, and stores what is missing.
func TestHoles(t *testing.T) {
	type span [2]int
	for name, tc := range map[string]struct {
		stored []span
		last   uint64
		end    int // of what is offered then
		total  int
	}{
		"dropped":          {[]span{{1, 500}, {551, 600}}, 500, 650, 650},
		"from the start":   {[]span{{41, 60}}, 0, 100, 100},
		"stored late":      {[]span{{1, 2}, {4, 512}, {3, 3}, {513, 1000}}, 1000, 1010, 1010},
		"not in the order": {[]span{{1, 100}, {301, 512}, {101, 300}, {601, 700}}, 512, 1000, 1000},
		"never sent":       {[]span{{1, 600}, {700, 800}}, 600, 900, 900},
		"old ones removed": {[]span{{10100, 10511}}, 9999, 10600, 601},
		"few are left":     {[]span{{400, 600}}, 88, 600, 512},
	} {
		t.Run(name, func(t *testing.T) {
			j := receiver.StartJournald(t, receiver.JournaldConfig{})
			info := logdriver.Info{ContainerID: "holes", Stream: "s"}
			killed := mustOpen(t, j, info, map[string]string{"confirm": confirmSent})
			for _, s := range tc.stored {
				mustLog(t, killed, numbered(s[0], s[1])...)
			}
			mustClose(t, killed)
			l := mustOpen(t, j, info, nil)
			defer mustClose(t, l)
			if l.LastSeq() != tc.last {
				t.Errorf("last sequence %d, want %d", l.LastSeq(), tc.last)
			}
			mustLog(t, l, numbered(int(tc.last)+1, tc.end)...)
			lines := make(map[string]int)
			for _, m := range readAll(t, l, logdriver.ReadConfig{Tail: -1}) {
				if lines[string(m.Line)]++; lines[string(m.Line)] > 1 {
					t.Errorf("%q is there twice", m.Line)
				}
			}
			if len(lines) != tc.total {
				t.Errorf("%d messages, want %d", len(lines), tc.total)
			}
		})
	}
}

// Writers and followers keep no file open that journald has finished.
func TestDescriptors(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{Settings: []string{"SystemMaxFileSize=512K", "SystemMaxFiles=1000"}})
	l := mustOpen(t, j, logdriver.Info{ContainerID: "descriptors", Stream: "s"}, nil)
	follower := l.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	defer follower.Close()
	const n = 6000
	logged := logBeside(t, l, numbered(1, n)...)
	for range n {
		logdriver.PutMessage(receive(t, follower, logged))
	}
	if err, failed := <-logged; failed {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(j.Directory, "*/*.journal"))
	const most = 4 // what journald writes, and what it has just finished, for each of the two
	if len(files) <= most {
		t.Fatalf("%d files: not enough to tell anything", len(files))
	}
	eventually(t, func() error {
		if open := openBelow(t, j.Directory); open > most {
			return fmt.Errorf("%d of %d files are open", open, len(files))
		}
		return nil
	})
	mustClose(t, l)
}

// openBelow returns how many descriptors of this process are of files in a directory.
func openBelow(t *testing.T, dir string) (n int) {
	t.Helper()
	const own = "/proc/self/fd"
	descriptors, err := os.ReadDir(own)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range descriptors {
		if target, err := os.Readlink(filepath.Join(own, d.Name())); err == nil && strings.HasPrefix(target, dir) && strings.Contains(target, ".journal") {
			n++
		}
	}
	return n
}

// Reading by time finds messages that claim times after their arrival.
func TestSinceAhead(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	l := mustOpen(t, j, logdriver.Info{ContainerID: "ahead"}, nil)
	defer mustClose(t, l)
	now := time.Now()
	at := func(d time.Duration) *logdriver.Message {
		return &logdriver.Message{Line: []byte(d.String()), Source: "stdout", Timestamp: now.Add(d)}
	}
	mustLog(t, l, at(-time.Hour), at(time.Minute), at(time.Hour), at(-time.Minute), at(time.Minute))
	for since, want := range map[time.Duration]int{-2 * time.Hour: 5, -time.Minute: 4, time.Minute: 4, 2 * time.Minute: 3, 2 * time.Hour: 0} {
		if got := readAll(t, l, logdriver.ReadConfig{Tail: -1, Since: now.Add(since)}); len(got) != want {
			t.Errorf("since %v: %d messages, want %d", since, len(got), want)
		}
	}
	if got := readAll(t, l, logdriver.ReadConfig{Tail: 2, Since: now.Add(time.Hour)}); len(got) != 2 {
		t.Errorf("since with tail: %d messages", len(got))
	}
}

// Both layouts and hash functions are read, across files, as journalctl reads them.
func TestFormats(t *testing.T) {
	for _, env := range [][]string{nil, {"SYSTEMD_JOURNAL_KEYED_HASH=0"}, {"SYSTEMD_JOURNAL_COMPACT=0"}} {
		t.Run(strings.Join(env, ""), func(t *testing.T) {
			j := receiver.StartJournald(t, receiver.JournaldConfig{Env: env, Settings: []string{"SystemMaxFileSize=1M", "SystemMaxFiles=1000"}})
			l := mustOpen(t, j, logdriver.Info{ContainerID: "formats", Stream: "s"}, nil)
			follower := l.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
			const n = 6000
			mustLog(t, l, numbered(1, n)...)
			mustClose(t, l)
			files, _ := filepath.Glob(filepath.Join(j.Directory, "*/*.journal"))
			if len(files) < 3 {
				t.Errorf("%d files", len(files))
			}
			var followed []*logdriver.Message
			for m := range follower.All() {
				followed = append(followed, m)
			}
			wantNumbered(t, followed, n)
			wantNumbered(t, readAll(t, remoteLog{l.place}, logdriver.ReadConfig{Tail: -1}), n)
			for _, tail := range []int{1, 100, n - 1} {
				got := readAll(t, remoteLog{l.place}, logdriver.ReadConfig{Tail: tail})
				if len(got) != tail || string(got[tail-1].Line) != fmt.Sprintf("message %d\n", n) {
					t.Errorf("tail %d: %d messages", tail, len(got))
				}
			}
			out, err := j.Journalctl(t.Context(), "-o", "cat", "CONTAINER_ID_FULL=formats")
			if got := strings.Count(string(out), "\n"); err != nil || got != n {
				t.Errorf("journalctl reads %d entries, %v", got, err)
			}
		})
	}
}

// A reader in another process follows, and ends with the writer.
func TestRemoteFollow(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	l := mustOpen(t, j, logdriver.Info{ContainerID: "remote", Stream: "s"}, nil)
	w := remoteLog{l.place}.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	defer w.Close()
	for i := range 5 {
		mustLog(t, l, numbered(i+1, i+1)...)
		if m := receive(t, w, nil); string(m.Line) != fmt.Sprintf("message %d\n", i+1) {
			t.Fatalf("got %q", m.Line)
		}
	}
	mustLog(t, l, numbered(6, 10)...)
	mustClose(t, l)
	if rest := end(t, w); rest != 5 {
		t.Errorf("%d messages after the close", rest)
	}
}

// Readers in other processes see that a log is being written also if its writer may not
// read the journal.
func TestPresenceOfBlindWriter(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	unreadable := filepath.Join(t.TempDir(), "no directory")
	if err := os.WriteFile(unreadable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, j, logdriver.Info{ContainerID: "blind", Stream: "s"}, map[string]string{"confirm": confirmSent, "directory": unreadable})
	if !l.beingWritten() {
		t.Error("the open log does not show")
	}
	mustClose(t, l)
	if l.beingWritten() {
		t.Error("the closed log still shows")
	}
}

// A follower that is overtaken by the removal of files is told so.
func TestRemoved(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{Settings: []string{"SystemMaxFileSize=1M", "SystemMaxUse=4M"}})
	l := mustOpen(t, j, logdriver.Info{ContainerID: "removed", Stream: "s"}, nil)
	defer mustClose(t, l)
	mustLog(t, l, numbered(1, 5000)...)
	w := l.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	defer w.Close()
	for i := 5000; i < 30_000; i += 5000 {
		mustLog(t, l, numbered(i+1, i+5000)...)
	}
	end(t, w)
	select {
	case err := <-w.Err:
		if !errors.Is(err, logdriver.ErrGap) {
			t.Errorf("it ended with %v", err)
		}
	default:
		t.Error("it ended without an error")
	}
}
