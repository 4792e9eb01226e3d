package docker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/shared/logdriver"
	"golang.org/x/sys/unix"
)

// pipe returns a FIFO's path and its two ends.
func pipe(t *testing.T) (path string, reader, writer *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := openFIFO(path)
	if err != nil {
		t.Fatal(err)
	}
	// As the daemon opens it.
	writer, err = os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return path, reader, writer
}

func write(t *testing.T, f *os.File, b []byte) {
	t.Helper()
	if err := f.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestJournalHoldsWhatLeftTheFIFO(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	_, reader, writer := pipe(t)
	fd := int(reader.Fd())
	if _, err := j.take(fd); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("an empty FIFO gives %v", err)
	}
	var want []byte
	for i := range 50 {
		text := bytes.Repeat([]byte{byte(i)}, 1000)
		write(t, writer, text)
		want = append(want, text...)
		if n, err := j.take(fd); err != nil || n != 1000 {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if i == 25 { // another process goes on with the file as it is
			if err := j.close(); err != nil {
				t.Fatal(err)
			}
			if j, err = openJournal(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	defer j.close()
	got := make([]byte, 100_000)
	n, err := j.readAt(got, 0)
	if err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("%d bytes, %v", n, err)
	}
	writer.Close()
	// A process that another test starts at this moment holds the end for a while.
	taken, err := j.take(fd)
	for deadline := time.Now().Add(10 * time.Second); errors.Is(err, unix.EAGAIN) && time.Now().Before(deadline); {
		taken, err = j.take(fd)
	}
	if taken != 0 || err != nil {
		t.Errorf("at its end the FIFO gives %d, %v", taken, err)
	}
}

// A journal that is read to its end does not grow for ever, and none takes room for
// what was read.
func TestJournalIsEmptied(t *testing.T) {
	t.Parallel()
	j, err := openJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	_, reader, writer := pipe(t)
	fd, chunk := int(reader.Fd()), make([]byte, 32<<10)
	at, restarts := int64(0), 0
	for range 1000 { // 32 MiB
		write(t, writer, chunk)
		n, err := j.take(fd)
		if err != nil {
			t.Fatal(err)
		}
		at += n
		restarted, err := j.release(at, func() { restarts++ })
		if err != nil {
			t.Fatal(err)
		}
		if restarted {
			at = 0
		}
		if size, unread := j.bytes(); size > 2*truncateBytes || unread != 0 || size != at {
			t.Fatalf("size %d, unread %d, position %d", size, unread, at)
		}
	}
	if restarts < 5 {
		t.Errorf("it was emptied %d times", restarts)
	}
	// Killed between emptying it and storing the position.
	if at := j.begin(1 << 40); at != 0 {
		t.Errorf("it begins at %d", at)
	}
}

func TestPositionSurvives(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "position")
	p, err := openPosition(path)
	if err != nil {
		t.Fatal(err)
	}
	if at := p.load(); at != (position{}) {
		t.Errorf("a new one is %+v", at)
	}
	stream := newStream()
	for i := range 5 {
		p.store(position{stream: stream, seq: uint64(i), offset: int64(i) * 100, part: i, gap: i%2 > 0})
		other, err := openPosition(path) // as another process sees it
		if err != nil {
			t.Fatal(err)
		}
		if at, want := other.load(), (position{stream, uint64(i), int64(i) * 100, i, i%2 > 0}); at != want {
			t.Errorf("got %+v, want %+v", at, want)
		}
		// Killed in the middle of the next store.
		s := other.slot(other.version + 1)
		s[slotVersion], s[slotSeq] = 0, 99
		if at := other.load(); at.seq != uint64(i) {
			t.Errorf("after half a store: %+v", at)
		}
		if err := other.close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	set := func(pid, group string) {
		dir := filepath.Join(proc, pid)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "cgroup"), []byte(group), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	p := newProcesses(proc)
	state := func(id string, want liveness) {
		t.Helper()
		p.mu.Lock()
		p.scanned = p.scanned.Add(-scanInterval) // time passes
		p.mu.Unlock()
		if got := p.state(id); got != want {
			t.Errorf("%s is %v, want %v", id, got, want)
		}
	}
	state("c1", unknown)
	set("1000000", "0::/docker/c1\n")
	state("c1", alive)
	set("1000001", "0::/system.slice/docker-c1.scope\n")
	if err := os.RemoveAll(filepath.Join(proc, "1000000")); err != nil {
		t.Fatal(err)
	}
	state("c1", alive)
	if err := os.RemoveAll(filepath.Join(proc, "1000001")); err != nil {
		t.Fatal(err)
	}
	state("c1", dead)
	state("c2", unknown)
}

// A container has not ended because its processes cannot be looked at for a while.
func TestProcessesCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	proc := filepath.Join(t.TempDir(), "proc")
	group := func(pid string) string { return filepath.Join(proc, pid, "cgroup") }
	set := func(pid, id string) {
		t.Helper()
		err := errors.Join(os.MkdirAll(filepath.Join(proc, pid), 0o700), os.WriteFile(group(pid), []byte(id), 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	set("1000000", "c1")
	set("1000001", "c1")
	p := newProcesses(proc)
	state := func(what string, want liveness) {
		t.Helper()
		p.mu.Lock()
		p.scanned = p.scanned.Add(-scanInterval) // time passes
		p.mu.Unlock()
		if got := p.state("c1"); got != want {
			t.Errorf("%s: it is %v, want %v", what, got, want)
		}
	}
	state("both run", alive)
	for _, pid := range []string{"1000000", "1000001"} {
		if err := errors.Join(os.Remove(group(pid)), os.Mkdir(group(pid), 0o700)); err != nil { // cannot be read
			t.Fatal(err)
		}
	}
	state("none can be read", alive)
	if err := os.Rename(proc, proc+"-moved"); err != nil {
		t.Fatal(err)
	}
	state("nothing can be read", alive)
	if err := os.Rename(proc+"-moved", proc); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(proc, "1000000")); err != nil {
		t.Fatal(err)
	}
	state("one has ended", alive)
	if err := os.RemoveAll(filepath.Join(proc, "1000001")); err != nil {
		t.Fatal(err)
	}
	state("both have ended", dead)
}

// fakeProc is a proc file system of few processes.
type fakeProc struct {
	t   *testing.T
	dir string
}

// process adds a process that has files open with flags.
func (f *fakeProc) process(pid, arguments string, flags int, open ...string) {
	f.t.Helper()
	dir := filepath.Join(f.dir, pid)
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "fd"), 0o700), os.MkdirAll(filepath.Join(dir, "fdinfo"), 0o700),
		os.WriteFile(filepath.Join(dir, "cmdline"), []byte(arguments), 0o600))
	for i, path := range open {
		info := fmt.Sprintf("pos:\t0\nflags:\t0%o\nmnt_id:\t9\n", flags)
		err = errors.Join(err, os.Symlink(path, filepath.Join(dir, "fd", strconv.Itoa(i))),
			os.WriteFile(filepath.Join(dir, "fdinfo", strconv.Itoa(i)), []byte(info), 0o600))
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeProc) end(pid string) {
	f.t.Helper()
	if err := os.RemoveAll(filepath.Join(f.dir, pid)); err != nil {
		f.t.Fatal(err)
	}
}

// A container that ended before anybody looked is dead, if the daemon that holds its FIFO can be
// seen, and nothing that runs it.
func TestCensus(t *testing.T) {
	t.Parallel()
	proc := &fakeProc{t, t.TempDir()}
	p := newProcesses(proc.dir)
	state := func(what string, want liveness) {
		t.Helper()
		p.doubt("c1")
		p.census(map[string]string{"c1": "f1"}, p.forgotten())
		if got := p.state("c1"); got != want {
			t.Errorf("%s: it is %v, want %v", what, got, want)
		}
	}
	const fifo = "/run/docker/logging/f1"
	proc.process("1000000", "init", unix.O_RDWR, "/dev/null")
	state("nobody holds the FIFO", unknown)
	proc.process("1000003", "logplug", unix.O_RDONLY|unix.O_NONBLOCK, fifo)
	state("a child of this process holds the FIFO", unknown)
	proc.process("1000001", "dockerd", unix.O_RDWR|unix.O_NONBLOCK, "socket:[1]", fifo)
	proc.process("1000002", "shim\x00-id\x00c1\x00", unix.O_RDWR)
	state("a shim runs", unknown)
	proc.end("1000002")
	state("nothing runs", dead)
	before := p.forgotten()
	p.forget("c1")
	if got := p.state("c1"); got != unknown {
		t.Errorf("the next run is %v", got)
	}
	p.census(map[string]string{"c1": "f1"}, before)
	if got := p.state("c1"); got != unknown {
		t.Errorf("the next run, which began before the census, is %v", got)
	}
	state("nothing runs", dead)
}

// What was found of a container long ago is looked at again before its FIFO is let go of, or its
// output given up.
func TestAbandonedIsConfirmed(t *testing.T) {
	t.Parallel()
	proc := &fakeProc{t, t.TempDir()}
	path, reader, _ := pipe(t)
	reader.Close()
	p := newProcesses(proc.dir)
	proc.process("1000001", "dockerd", unix.O_RDWR, path)
	st, err := openStream(t.TempDir(), record{File: path, Info: logdriver.Info{ContainerID: "c1"}}, p, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	st.resumed = true
	s := &Service{log: hclog.NewNullLogger(), processes: p, streams: map[string]*stream{path: st}}
	long := time.Now().Add(-time.Hour)
	proc.process("1000002", "shim\x00-id\x00c1\x00", unix.O_RDWR)
	p.gone["c1"] = true
	if st.intake.over() {
		t.Error("the output of a container that runs may be given up")
	}
	p.gone["c1"] = true
	if s.endAbandoned(map[*stream]time.Time{st: long}); st.intake.stopped() {
		t.Fatal("the FIFO of a container that runs is let go of")
	}
	proc.end("1000002")
	since := make(map[*stream]time.Time)
	if s.endAbandoned(since); st.intake.stopped() || len(since) != 1 {
		t.Fatalf("it has ended: stopped %v, %d streams wait", st.intake.stopped(), len(since))
	}
	since[st] = long
	if s.endAbandoned(since); !st.intake.stopped() {
		t.Error("the FIFO of a container that has ended stays")
	}
}

// What is there when a service begins is taken up in the order in which it began;
// what was not complete is removed.
func TestRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, file := range []string{"/run/b", "/run/a"} {
		r := record{File: file, Driver: "jsonfile", Began: time.Unix(int64(i), 0)}
		if _, err := r.create(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "half"+newSuffix), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "strange"), 0o700); err != nil {
		t.Fatal(err)
	}
	all, others, err := findRecords(dir)
	if err == nil || len(others) != 1 {
		t.Errorf("a directory without a record is not reported: %q, %v", others, err)
	}
	if len(all) != 2 || all[0].File != "/run/b" || all[1].File != "/run/a" {
		t.Errorf("%+v", all)
	}
	if _, err := os.Stat(filepath.Join(dir, "half"+newSuffix)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was not complete is left: %v", err)
	}
}

func TestOpenFIFORefusesOthers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, "relative", t.TempDir()} {
		if f, err := openFIFO(path); err == nil {
			t.Errorf("%s is taken for a FIFO", path)
			f.Close()
		}
	}
	if f, err := openFIFO(file + "-none"); f != nil || err != nil {
		t.Errorf("a FIFO that is gone gives %v, %v", f, err)
	}
}
