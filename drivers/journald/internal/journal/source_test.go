package journal

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

const goldenCount = 21

// open returns a reader of a golden file's log.
func open(t *testing.T, dir string) *Reader {
	t.Helper()
	r := NewReader([]string{dir}, "CONTAINER_ID_FULL", "golden")
	t.Cleanup(r.Close)
	refresh(t, r)
	return r
}

func refresh(t testing.TB, r *Reader) {
	t.Helper()
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
}

// region is a part of a file.
type region struct {
	off uint64
	n   int
}

// lastParts returns what of a golden file makes its last entry.
func lastParts(t testing.TB, dir string) map[string]region {
	t.Helper()
	r := NewReader([]string{dir}, "CONTAINER_ID_FULL", "golden")
	defer r.Close()
	refresh(t, r)
	s := r.sources[0].series
	var e Entry
	if err := s.entry(goldenCount-1, &e); err != nil {
		t.Fatal(err)
	}
	a := s.arrays[len(s.arrays)-1]
	width := s.arrayItemLen()
	// The message itself is the entry's last data object.
	b, err := s.f.at(e.off+entryHeaderLen+uint64(e.items-1)*s.f.itemLen(), int(s.f.itemLen()))
	if err != nil {
		t.Fatal(err)
	}
	data := uint64(binary.LittleEndian.Uint32(b))
	return map[string]region{
		"entry":     {e.off, entryHeaderLen},
		"header":    {e.off, objectHeaderLen},
		"array":     {a.off, objectHeaderLen},
		"item":      {a.off + arrayHeaderLen + (goldenCount-1-a.start)*width, int(width)},
		"data":      {data, objectHeaderLen},
		"data size": {data + 8, 8},
	}
}

// blank zeroes a region, and returns what restores it.
func blank(t *testing.T, f *os.File, r region) (restore func()) {
	t.Helper()
	was := make([]byte, r.n)
	if _, err := f.ReadAt(was, int64(r.off)); err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		if _, err := f.WriteAt(b, int64(r.off)); err != nil {
			t.Fatal(err)
		}
	}
	write(make([]byte, r.n))
	return func() { write(was) }
}

// forHalfWritten calls f for files whose last entry is counted and lacks a part.
func forHalfWritten(t *testing.T, f func(t *testing.T, part, dir string, file *os.File, complete func())) {
	for _, layout := range []string{"compact", "regular"} {
		for _, part := range []string{"entry", "header", "array", "item", "data", "data size"} {
			t.Run(layout+"/"+part, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir, file := golden(t, layout)
					f(t, part, dir, file, blank(t, file, lastParts(t, dir)[part]))
				})
			})
		}
	}
}

// readable reads up to what is not finished.
func readable(t *testing.T, r *Reader) int {
	t.Helper()
	lines := rest(t, r)
	if !r.Unsettled() {
		t.Fatalf("after %d entries, the rest is not in doubt", len(lines))
	}
	return len(lines)
}

// What is not finished when it is seen is delivered once it is, and is no damage.
func TestHalfWrittenEntry(t *testing.T) {
	forHalfWritten(t, func(t *testing.T, _, dir string, _ *os.File, complete func()) {
		r := open(t, dir)
		n := readable(t, r)
		if n == 0 || n >= goldenCount {
			t.Fatalf("%d entries before that one", n)
		}
		refresh(t, r)
		if readable(t, r) != 0 {
			t.Error("entries came twice")
		}
		<-time.After(settleTime - time.Millisecond)
		complete()
		refresh(t, r)
		if got := rest(t, r); n+len(got) != goldenCount || r.Unsettled() {
			t.Errorf("%d entries, then %d", n, len(got))
		}
	})
}

// What stays unfinished is damage.
func TestDamagedTail(t *testing.T) {
	forHalfWritten(t, func(t *testing.T, part, dir string, _ *os.File, complete func()) {
		r := open(t, dir)
		n := readable(t, r)
		<-time.After(settleTime)
		refresh(t, r)
		wantDamage(t, r, part)
		complete()
		refresh(t, r)
		if got := rest(t, r); len(got) != 0 || n == 0 {
			t.Errorf("%d entries, and %d after the damage", n, len(got))
		}
	})
}

// In a file that journald has finished, there is nothing to wait for.
func TestDamagedArchive(t *testing.T) {
	forHalfWritten(t, func(t *testing.T, part, dir string, file *os.File, _ func()) {
		r := open(t, dir)
		readable(t, r)
		if _, err := file.WriteAt([]byte{stateArchived}, 16); err != nil {
			t.Fatal(err)
		}
		refresh(t, r)
		wantDamage(t, r, part)
	})
}

func wantDamage(t *testing.T, r *Reader, part string) {
	t.Helper()
	var e Entry
	ok, err := r.Next(&e)
	if ok && err == nil && part != "entry" && part != "header" { // it tells itself
		_, err = message(&e)
	}
	if !ok || !errors.Is(err, ErrDamaged) {
		t.Fatalf("want damage, got %v, %v", ok, err)
	}
}

// Tail waits for what may be the last entry.
func TestTailHalfWritten(t *testing.T) {
	forHalfWritten(t, func(t *testing.T, _, dir string, _ *os.File, complete func()) {
		r := open(t, dir)
		if r.Tail(0); r.Unsettled() {
			t.Error("tail 0 is in doubt")
		}
		if r.Tail(2); !r.Unsettled() {
			t.Error("tail 2 is not in doubt")
		}
		complete()
		refresh(t, r)
		r.Tail(2)
		if got := rest(t, r); len(got) != 2 || r.Unsettled() {
			t.Errorf("tail 2 has %d entries", len(got))
		}
	})
}

// growing is a file that gets entries just before their number is read.
type growing struct {
	before, after []byte
	count         uint64 // offset of the number
	grown         bool
}

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	if end := uint64(off) + uint64(len(p)); len(p) <= 24 && uint64(off) <= g.count && end >= g.count+8 {
		g.grown = true
	}
	image := g.before
	if g.grown {
		image = g.after
	}
	return copy(p, image[off:]), nil
}

// An entry that is counted is not looked for in what was read before.
func TestGrowsWhileItIsFound(t *testing.T) {
	for _, layout := range []string{"compact", "regular"} {
		dir, file := golden(t, layout)
		after, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		r := open(t, dir)
		list := r.sources[0].series
		count := list.data + 56
		second, err := list.offset(1)
		if err != nil || second/blockBytes != list.data/blockBytes {
			t.Fatalf("%s: the second entry is not in the block that is read to find the first: %v", layout, err)
		}
		blank(t, file, region{second, entryHeaderLen})
		if _, err := file.WriteAt([]byte{1}, int64(count)); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		f, err := openFile(&growing{before: before, after: after, count: count})
		if err != nil {
			t.Fatal(err)
		}
		s := &source{os: file, file: f}
		s.refresh(r.match)
		var e Entry
		for i := range s.count() {
			if !s.read(i, &e, true) { // at once, as Tail and Seek do
				t.Errorf("%s: entry %d of %d cannot be read", layout, i, s.count())
			}
		}
		if s.count() != goldenCount {
			t.Errorf("%s: %d entries", layout, s.count())
		}
	}
}

// A damaged index does not pass for a log without entries.
func TestDamagedIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, file := golden(t, "regular")
		blank(t, file, region{open(t, dir).sources[0].series.data, objectHeaderLen})
		r := open(t, dir)
		readable(t, r)
		<-time.After(settleTime)
		var e Entry
		if ok, err := r.Next(&e); !ok || !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v, %v", ok, err)
		}
		refresh(t, r)
		if ok, err := r.Next(&e); ok {
			t.Errorf("told again: %v", err)
		}
	})
}

// A file that is found before it has its header is read once it has it, though nothing
// changes in the directory then.
func TestYoungFile(t *testing.T) {
	dir, file := golden(t, "compact")
	image, err := os.ReadFile(file.Name())
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		err = os.Chtimes(dir, time.Time{}, time.Now().Add(-time.Hour))
	}
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	if r.Pending() != 0 {
		t.Fatal("an empty file has entries")
	}
	if _, err := file.WriteAt(image, 0); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if r.Pending() != goldenCount {
		t.Errorf("%d entries", r.Pending())
	}
}

// A new file is read, though a removed one without such entries had its inode and its
// name.
func TestInodeAgain(t *testing.T) {
	dir, file := golden(t, "compact")
	image, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	table := binary.LittleEndian.Uint64(image[104:])
	restore := blank(t, file, region{table, int(binary.LittleEndian.Uint64(image[112:]))})
	r := open(t, dir)
	archive := filepath.Join(dir, "system@1.journal")
	if err := os.Rename(file.Name(), archive); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{stateArchived}, 16); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if len(r.sources) != 0 {
		t.Fatal("a file without entries is kept")
	}
	restore()
	if err := os.Rename(archive, file.Name()); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if r.Pending() != goldenCount {
		t.Errorf("%d entries", r.Pending())
	}
}

// Files that were read are let go of once journald has removed them.
func TestSpentFile(t *testing.T) {
	dir, file := golden(t, "compact")
	if _, err := file.WriteAt([]byte{stateArchived}, 16); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	if err := os.Remove(file.Name()); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if got := rest(t, r); len(got) != goldenCount {
		t.Fatalf("%d entries of a removed file", len(got))
	}
	if err := os.WriteFile(filepath.Join(dir, "new.journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if len(r.sources) != 0 {
		t.Error("it is kept")
	}
}

// Files that were read are closed once journald has finished them, if the reader does
// not go back, and are not read again by their new names.
func TestForwardOnly(t *testing.T) {
	dir, file := golden(t, "compact")
	r := open(t, dir)
	r.ForwardOnly()
	archive := filepath.Join(dir, "system@1.journal")
	if err := os.Rename(file.Name(), archive); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{stateArchived}, 16); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if got := rest(t, r); len(got) != goldenCount {
		t.Fatalf("%d entries of a file that was archived before it was read", len(got))
	}
	for range 2 {
		refresh(t, r)
		if len(r.sources) != 0 || r.Pending() != 0 {
			t.Fatalf("%d files are open, with %d entries", len(r.sources), r.Pending())
		}
	}
	_, next := golden(t, "regular")
	if err := os.Rename(next.Name(), file.Name()); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if got := rest(t, r); len(got) != goldenCount {
		t.Errorf("%d entries of the file that followed", len(got))
	}
	refresh(t, r)
	if len(r.sources) != 1 {
		t.Error("a file that journald writes is closed")
	}
}
