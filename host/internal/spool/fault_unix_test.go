//go:build unix

package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// TestMemoryThatCannotBeUsed: a file that somebody cut off, as a disk that
// fails, gives an error and not the end of the process.
func TestMemoryThatCannotBeUsed(t *testing.T) {
	path := t.TempDir()
	d, _, err := Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	q := New(d, Stream{1})
	m := &logdriver.Message{Line: []byte("line")}
	push := func() error {
		_, _, err := appendTo(q, m)
		return err
	}
	if err := Guard(push); err != nil {
		t.Fatal(err)
	}
	size := q.Bytes()
	if err := os.Truncate(filepath.Join(path, dataFile), 0); err != nil {
		t.Fatal(err)
	}
	if err := Guard(push); err == nil || !strings.Contains(err.Error(), "cannot be used") {
		t.Fatalf("appending to memory that is gone: %v", err)
	}
	var dropped uint64
	if err := Guard(func() (err error) {
		dropped, _, _, err = q.DropOldest(func(Dropped) *logdriver.Message { return logdriver.NewMessage() })
		return err
	}); err == nil || dropped != 0 {
		t.Fatalf("dropping from memory that is gone: %d messages, %v", dropped, err)
	}
	if err := Guard(func() error { q.Find(1, new(logdriver.Message)); return nil }); err == nil {
		t.Fatal("a message was looked for in memory that is gone")
	}
	if q.Count() != 1 || q.Bytes() != size || q.Sent() != 0 {
		t.Fatalf("%d messages are counted, 1 was accepted", q.Count())
	}
	failure := errors.New("another")
	if err := Guard(func() error { return failure }); err != failure {
		t.Fatalf("an error of the function: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMarkThatCannotBeWritten: what was dropped is told of all the same.
func TestMarkThatCannotBeWritten(t *testing.T) {
	store := &faultyStore{}
	q := New(store, Stream{1})
	defer q.Release()
	line := make([]byte, minChunkBytes/2)
	for range 10 {
		if _, _, err := appendTo(q, &logdriver.Message{Line: line}); err != nil {
			t.Fatal(err)
		}
	}
	count, size := q.Count(), q.Bytes()
	store.faulty = true
	messages, bytes, marks, err := q.DropOldest(func(Dropped) *logdriver.Message { return logdriver.NewMessage() })
	if err == nil || messages == 0 || marks != 0 {
		t.Fatalf("%d messages were dropped, with %d marks: %v", messages, marks, err)
	}
	if q.Count() != count-messages || q.Bytes() != size-bytes || q.Last() != 10 {
		t.Errorf("%d messages of %d bytes are left up to %d, after %d of %d bytes were dropped of %d of %d",
			q.Count(), q.Bytes(), q.Last(), messages, bytes, count, size)
	}
	var w wire.WriteRequest
	defer w.Free()
	taken := 0
	for n := 1; n > 0; taken += n {
		n = q.Take(&w, 1, 1<<20, true, q.Last())
	}
	if taken != q.Bytes() {
		t.Errorf("%d bytes were taken of %d", taken, q.Bytes())
	}
}

// TestAppendBehindWhatWasDropped at the end, without a mark: the number that is next
// goes where it belongs.
func TestAppendBehindWhatWasDropped(t *testing.T) {
	t.Parallel()
	store := &faultyStore{}
	q := New(store, Stream{1})
	defer q.Release()
	push := func(size int) {
		if _, _, err := appendTo(q, &logdriver.Message{Line: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
	}
	var w wire.WriteRequest
	push(minChunkBytes / 2)
	q.Take(&w, 7, 1<<20, true, q.Last())
	w.Free()
	push(minChunkBytes)
	store.faulty = true
	if n, _, _, err := q.DropOldest(func(Dropped) *logdriver.Message { return logdriver.NewMessage() }); n != 1 || err == nil {
		t.Fatalf("%d messages were dropped: %v", n, err)
	}
	store.faulty = false
	push(1)
	q.Take(&w, 7, 1<<20, true, q.Last())
	if got := decode(t, &w); len(got) != 1 || got[0].seq != 3 {
		t.Errorf("sent %v, want message 3", got)
	}
}

// faultyStore is Memory whose new blocks cannot be written to, if it is faulty.
type faultyStore struct {
	Memory
	faulty bool
}

func (s *faultyStore) Alloc(stream Stream, first uint64, want, need int) (Block, error) {
	b, err := s.Memory.Alloc(stream, first, want, need)
	if s.faulty {
		return faultyBlock{b}, err
	}
	return b, err
}

type faultyBlock struct{ Block }

func (faultyBlock) Appended(uint64) { panic(fault{}) }

// fault is like what the runtime panics with.
type fault struct{}

func (fault) Error() string { return "fault" }
func (fault) Addr() uintptr { return 0 }
