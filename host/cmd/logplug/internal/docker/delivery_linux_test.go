package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/docker/frame"
	"github.com/logplug/logplug/shared/logdriver"
)

// listener is a logger that keeps the lines it gets.
type listener struct {
	host.Logger
	lines []string
}

func (*listener) BufSize() int { return 0 }

func (l *listener) Log(m *logdriver.Message) error {
	l.lines = append(l.lines, string(m.Line))
	logdriver.PutMessage(m)
	return nil
}

// left opens a stream as an earlier service left it: its FIFO is gone.
func left(t *testing.T, journal []byte, at position) *stream {
	t.Helper()
	dir := t.TempDir()
	p, err := openPosition(filepath.Join(dir, positionName))
	if err != nil {
		t.Fatal(err)
	}
	p.store(at)
	if err := errors.Join(p.close(), os.WriteFile(filepath.Join(dir, journalFile), journal, 0o600)); err != nil {
		t.Fatal(err)
	}
	s, err := openStream(dir, record{File: filepath.Join(dir, "fifo")}, newProcesses(dir), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// deliver logs a whole journal.
func deliver(t *testing.T, journal []byte) (lines []string, damage Damage) {
	t.Helper()
	s := left(t, journal, position{})
	s.begin(t.Context())
	await(t, s.intake.done, "the intake ends")
	service := &Service{buffers: sync.Pool{New: func() any { b := make([]byte, readBytes); return &b }}}
	l := &listener{}
	c := &container{service: service, log: hclog.NewNullLogger()}
	if err := newDelivery(c, s, l, position{stream: newStream()}).run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l.lines, service.damage
}

// frames returns the frames of some lines, and where each begins.
func frames(lines ...string) (journal []byte, starts []int) {
	for _, line := range lines {
		starts = append(starts, len(journal))
		journal = frame.Append(journal, &logdriver.Message{Line: []byte(line), Source: "stdout"})
	}
	return journal, starts
}

// A length that reaches beyond the end of the output costs its own frame only.
func TestDamagedLength(t *testing.T) {
	t.Parallel()
	lines := []string{"one", "two", "three", "four"}
	for _, large := range []bool{false, true} {
		if large { // more than is read at a time
			lines[2] = string(bytes.Repeat([]byte("x"), 3*readBytes))
		}
		journal, starts := frames(lines...)
		journal[starts[1]+1] = 1 // of the length's four bytes: 64 KiB and more
		if large {
			journal[starts[1]+1] = 15
		}
		got, damage := deliver(t, journal)
		if want := slices.Delete(slices.Clone(lines), 1, 2); !slices.Equal(got, want) {
			t.Errorf("got %.60q, want %.60q", got, want)
		}
		if want := (Damage{1, uint64(starts[2] - starts[1])}); damage != want {
			t.Errorf("skipped %+v, want %+v", damage, want)
		}
	}
}

// What is left of a frame at the end is told of once.
func TestTornFrame(t *testing.T) {
	t.Parallel()
	journal, starts := frames("one", "two")
	for end := starts[1] + 1; end < len(journal); end++ {
		got, damage := deliver(t, journal[:end])
		if want := (Damage{1, uint64(end - starts[1])}); len(got) != 1 || damage != want {
			t.Errorf("of %d bytes: %q, skipped %+v, want %+v", end, got, damage, want)
		}
	}
}

// What is already logged does not count as unread, whether the logger can be opened or
// not.
func TestPositionIsKnownFromTheBeginning(t *testing.T) {
	t.Parallel()
	s := left(t, make([]byte, 1000), position{offset: 900})
	if size, unread := s.journal.bytes(); size != 1000 || unread != 100 {
		t.Errorf("%d of %d bytes are unread", unread, size)
	}
}

// Killed between emptying the journal and storing the position: what is added then is
// not taken for what was logged before.
func TestPositionBehindEmptiedJournal(t *testing.T) {
	t.Parallel()
	s := left(t, nil, position{seq: 7, offset: 100, part: 1})
	_, reader, writer := pipe(t)
	write(t, writer, make([]byte, 200))
	if _, err := s.journal.take(int(reader.Fd())); err != nil {
		t.Fatal(err)
	}
	if at := s.position.load(); at != (position{seq: 7}) {
		t.Errorf("the position is %+v", at)
	}
}

// A stream that was never begun lets go of its FIFO.
func TestStreamClosesItsFIFO(t *testing.T) {
	t.Parallel()
	path, reader, _ := pipe(t)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := openStream(t.TempDir(), record{File: path}, newProcesses(t.TempDir()), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.intake.fifo.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the FIFO is open: %v", err)
	}
}

// Streams that an earlier service left of one container are all taken up, whatever
// becomes of the first meanwhile.
func TestResumeKeepsStreamsTogether(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	for i := range 3 {
		r := record{File: filepath.Join(state, fmt.Sprint("fifo", i)), Driver: "none", Info: logdriver.Info{ContainerID: "c"}}
		if _, err := r.create(filepath.Join(state, streamsDir)); err != nil {
			t.Fatal(err)
		}
	}
	s := resumed(t, state)
	streams, _ := s.containers["c"].snapshot()
	if len(streams) != 3 || len(s.Stats().Streams) != 3 {
		t.Errorf("%d streams are taken up", len(streams))
	}
	for _, st := range streams {
		await(t, st.intake.done, "an intake ends")
	}
}

// resumed returns a service without drivers, which takes up what is in its state directory.
func resumed(t *testing.T, state string) *Service {
	t.Helper()
	return resumedWith(t, state, t.TempDir())
}

// resumedWith is resumed with the drivers in a directory.
func resumedWith(t *testing.T, state, drivers string) *Service {
	t.Helper()
	s := unresumed(t, state, drivers)
	s.resume()
	return s
}

// unresumed returns a service that has not taken up anything yet.
func unresumed(t *testing.T, state, drivers string) *Service {
	t.Helper()
	h, err := host.New(host.Config{PluginDirs: []string{drivers}, Logger: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	s := newService(h, Config{StateDir: state, Logger: hclog.NewNullLogger()})
	t.Cleanup(func() {
		s.Quit()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); s.Wait() }()
		await(t, ended, "the service ends")
	})
	return s
}

// The runs of a container keep their order when the clock is set back between them.
func TestClockIsSetBack(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	first := record{File: filepath.Join(state, "first"), Driver: "none", Info: logdriver.Info{ContainerID: "c"}, Began: time.Now().Add(time.Hour)}
	if _, err := first.create(filepath.Join(state, streamsDir)); err != nil {
		t.Fatal(err)
	}
	s := resumed(t, state)
	for range 2 {
		path, reader, _ := pipe(t)
		reader.Close()
		if err := s.Start(t.Context(), path, "none", logdriver.Info{ContainerID: "c"}); err != nil {
			t.Fatal(err)
		}
	}
	streams, _ := s.containers["c"].snapshot()
	all, _, err := findRecords(filepath.Join(state, streamsDir))
	if err != nil || len(all) != 3 || len(streams) != 3 {
		t.Fatalf("%d records, %d streams: %v", len(all), len(streams), err)
	}
	for i, st := range streams {
		if all[i].File != st.File {
			t.Errorf("the next service has %s as number %d, this one %s", all[i].File, i, st.File)
		}
	}
}

// Of streams that their driver refuses nothing is left, however many there are when that is
// known.
func TestRefusedTogether(t *testing.T) {
	t.Parallel()
	s := resumed(t, t.TempDir())
	var c *container
	for i := range 2 {
		path, reader, _ := pipe(t)
		reader.Close()
		st, err := s.newStream(record{File: path, Driver: "none", Info: logdriver.Info{ContainerID: "c"}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			c = newContainer(s, st)
		} else {
			c.add(st)
		}
		s.mu.Lock()
		s.streams[path] = st
		s.mu.Unlock()
		st.begin(s.ctx)
	}
	if c.run(s.ctx, true); c.openErr == nil {
		t.Error("they are not refused")
	}
	left, err := os.ReadDir(filepath.Join(s.cfg.StateDir, streamsDir))
	if err != nil || len(left) > 0 || len(s.Stats().Streams) > 0 {
		t.Errorf("%d directories are left, and %d streams: %v", len(left), len(s.Stats().Streams), err)
	}
}

// A stream may be stopped when its container has ended with the service.
func TestStopWithoutContainer(t *testing.T) {
	t.Parallel()
	st := left(t, nil, position{})
	st.begin(t.Context())
	s := &Service{log: hclog.NewNullLogger(), streams: map[string]*stream{st.File: st}}
	if err := s.Stop(t.Context(), st.File); err != nil {
		t.Error(err)
	}
}

// A container may end, with the service, before the intake of its last stream has begun.
func TestEndBeforeTheIntake(t *testing.T) {
	t.Parallel()
	path, reader, _ := pipe(t)
	reader.Close()
	st, err := openStream(t.TempDir(), record{File: path}, newProcesses(t.TempDir()), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer(&Service{log: hclog.NewNullLogger(), processes: st.intake.processes}, st)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.close()
	}()
	await(t, st.ctx.Done(), "it waits for the intake")
	st.begin(t.Context())
	await(t, ended, "the container ends")
	if st.full() {
		t.Error("the intake has not ended before its FIFO")
	}
}

// Options that are for drivers that cannot read do not keep one from being opened that can, if
// it could not be asked when they were stored.
func TestStoredCacheOptions(t *testing.T) {
	t.Parallel()
	drivers := t.TempDir()
	if err := os.WriteFile(filepath.Join(drivers, "logplug-driver-d"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := resumedWith(t, t.TempDir(), drivers)
	st := left(t, nil, position{})
	st.Driver, st.Info = "d", logdriver.Info{ContainerID: "c", Config: map[string]string{"cache-max-file": "none"}}
	c := newContainer(s, st)
	for _, canRead := range []bool{false, true} {
		d := described{at: time.Now()}
		d.Capability.ReadLogs = canRead
		s.describer.known["d"] = d
		_, err := c.attempt(t.Context(), st)
		if err == nil || refused(err) == canRead { // it is no driver
			t.Errorf("can read: %v; it fails with %v", canRead, err)
		}
	}
}

// A container goes on with the stream that it was logged in, whatever was asked for.
func TestResumeTheLoggersStream(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	logged := newStream()
	r := record{File: filepath.Join(state, "fifo"), Driver: "none", Info: logdriver.Info{ContainerID: "c", Stream: newStream()}}
	dir, err := r.create(filepath.Join(state, streamsDir))
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPosition(filepath.Join(dir, positionName))
	if err != nil {
		t.Fatal(err)
	}
	p.store(position{stream: logged, seq: 3})
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	c := resumed(t, state).containers["c"]
	if got := c.front().Info.Stream; got != logged || c.streamID != logged {
		t.Errorf("it asks for %s, and goes on with %s, want %s", got, c.streamID, logged)
	}
}
