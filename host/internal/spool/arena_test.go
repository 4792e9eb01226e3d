package spool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// fakeMedium is memory with a durable copy that lags behind until Sync.
type fakeMedium struct {
	mem, durable []byte
	limit        int // Grow fails beyond it
	used         int // as Grow was told last
}

func newFakeMedium(pages, limit int) *fakeMedium {
	return &fakeMedium{mem: make([]byte, pages*pageBytes), durable: make([]byte, pages*pageBytes), limit: limit * pageBytes}
}

func (m *fakeMedium) Bytes() []byte { return m.mem }
func (m *fakeMedium) Close() error  { return nil }
func (m *fakeMedium) Sync() error   { copy(m.durable, m.mem); return nil }
func (m *fakeMedium) Grow(used, n int) error {
	m.used = used
	if n > m.limit {
		return unix.ENOSPC
	}
	return nil
}

// kill returns what the next process finds after this one was killed.
func (m *fakeMedium) kill() *fakeMedium {
	return &fakeMedium{mem: slices.Clone(m.mem), durable: slices.Clone(m.mem), limit: m.limit}
}

// sectorBytes is what a disk writes whole, or not at all.
const sectorBytes = 512

// powerLoss returns what is found when only some sectors reached the disk since
// the last Sync: pages are missing, or torn.
func (m *fakeMedium) powerLoss(kept func(sector int) bool) *fakeMedium {
	mem := slices.Clone(m.durable)
	for s := range len(mem) / sectorBytes {
		if kept(s) {
			copy(mem[s*sectorBytes:(s+1)*sectorBytes], m.mem[s*sectorBytes:])
		}
	}
	return &fakeMedium{mem: mem, durable: slices.Clone(mem), limit: m.limit}
}

// losing returns what powerLoss asks: whether a sector is kept. Whole pages are, or
// are not, or are torn.
func losing(t *rapid.T) (kept func(sector int) bool) {
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	const perPage = pageBytes / sectorBytes
	var page [perPage]bool
	return func(sector int) bool {
		if sector%perPage == 0 {
			whole, torn := rnd.IntN(2) == 0, rnd.IntN(4) == 0
			for i := range page {
				page[i] = whole
				if torn {
					page[i] = rnd.IntN(2) == 0
				}
			}
		}
		return page[sector%perPage]
	}
}

// contents returns what a recovery finds, by stream.
func contents(t *rapid.T, m *fakeMedium) (map[Stream][]sent, *Arena) {
	a, runs, err := openArena(m)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[Stream][]sent)
	for _, r := range runs {
		found[r.Stream] = append(found[r.Stream], r.messages(t)...)
	}
	return found, a
}

// restoreAll makes a queue of each stream's runs.
func restoreAll(a *Arena, runs []Run, each func(s Stream, q *Queue, lost uint64)) {
	for len(runs) > 0 {
		n := 1
		for n < len(runs) && runs[n].Stream == runs[0].Stream {
			n++
		}
		q, lost := Restore(a, runs[:n])
		each(runs[0].Stream, q, lost)
		runs = runs[n:]
	}
}

func (r *Run) messages(t *rapid.T) (out []sent) {
	q := New(nil, r.Stream)
	q.chunks = []*chunk{{block: r.block, buf: r.buf, first: r.First, count: r.Count, off: r.off}}
	q.next = r.First + uint64(r.Count)
	q.Rewind()
	out, _ = take(t, q, 1<<30, true)
	if len(out) != r.Count {
		t.Fatalf("a run of %d messages has %d", r.Count, len(out))
	}
	return out
}

// arenaModel drives queues on an arena and remembers what they should hold.
type arenaModel struct {
	medium *fakeMedium
	arena  *Arena
	queues map[Stream]*Queue
	kept   map[Stream][]sent
	synced map[Stream][]sent // what was kept at the last Sync
	gone   map[Stream]uint64 // settled up to here since
}

func newArenaModel(m *fakeMedium, a *Arena) *arenaModel {
	return &arenaModel{m, a, map[Stream]*Queue{}, map[Stream][]sent{}, map[Stream][]sent{}, map[Stream]uint64{}}
}

func (am *arenaModel) append(t *rapid.T) {
	s := Stream{byte(rapid.IntRange(1, 4).Draw(t, "stream"))}
	q := am.queues[s]
	if q == nil {
		q = New(am.arena, s)
		am.queues[s] = q
	}
	n := rapid.SampledFrom([]int{0, 10, 300, 5000, 40000}).Draw(t, "size")
	line := bytes.Repeat([]byte{byte(rapid.IntRange(0, 255).Draw(t, "byte"))}, n)
	seq, _, err := appendTo(q, &logdriver.Message{Line: line, Source: "stdout"})
	if err != nil {
		return // full
	}
	am.kept[s] = append(am.kept[s], sent{seq, string(line)})
}

func (am *arenaModel) settle(t *rapid.T) {
	for _, s := range slices.SortedFunc(maps.Keys(am.queues), func(a, b Stream) int { return int(a[0]) - int(b[0]) }) {
		k := am.kept[s]
		n := rapid.IntRange(0, len(k)).Draw(t, "settled")
		if n == 0 {
			continue
		}
		am.queues[s].Ack(k[n-1].seq)
		am.gone[s] = k[n-1].seq
		am.kept[s] = k[n:]
	}
}

func (am *arenaModel) sync() {
	_ = am.medium.Sync()
	am.synced = map[Stream][]sent{}
	for s, k := range am.kept {
		am.synced[s] = slices.Clone(k)
	}
}

func same(got, want map[Stream][]sent) error {
	for s := range want {
		if fmt.Sprint(got[s]) != fmt.Sprint(want[s]) {
			return fmt.Errorf("stream %v: found %.200v, want %.200v", s[0], fmt.Sprint(got[s]), fmt.Sprint(want[s]))
		}
	}
	for s := range got {
		if _, ok := want[s]; !ok {
			return fmt.Errorf("stream %v: found %d messages of no stream", s[0], len(got[s]))
		}
	}
	return nil
}

// TestArenaSurvivesKill: a killed process's messages are found, all and only
// they, whatever room was used before; and the next process goes on with them.
func TestArenaSurvivesKill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(2, 40).Draw(t, "disk")
		m := newFakeMedium(40, limit)
		a, _, err := openArena(m)
		if err != nil {
			t.Fatal(err)
		}
		am := newArenaModel(m, a)
		t.Repeat(map[string]func(*rapid.T){
			"append": am.append,
			"settle": am.settle,
			"kill": func(t *rapid.T) {
				am.medium = am.medium.kill()
				a, runs, err := openArena(am.medium)
				if err != nil {
					t.Fatal(err)
				}
				am.arena = a
				am.queues = map[Stream]*Queue{}
				restoreAll(a, runs, func(s Stream, q *Queue, lost uint64) {
					if lost != 0 {
						t.Fatalf("lost %d", lost)
					}
					am.queues[s] = q
				})
			},
			"": func(t *rapid.T) {
				found, _ := contents(t, am.medium.kill())
				want := maps.Clone(am.kept)
				maps.DeleteFunc(want, func(_ Stream, k []sent) bool { return len(k) == 0 })
				if err := same(found, want); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// TestArenaSurvivesPowerLoss: what was there at the last Sync and was not
// settled since is found, whatever has become of the room of what was; nothing is
// found that was not appended.
func TestArenaSurvivesPowerLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newFakeMedium(60, 60)
		a, _, err := openArena(m)
		if err != nil {
			t.Fatal(err)
		}
		am := newArenaModel(m, a)
		all := map[Stream]map[sent]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				am.append(t)
				for s, k := range am.kept {
					if all[s] == nil {
						all[s] = map[sent]bool{}
					}
					for _, x := range k {
						all[s][x] = true
					}
				}
			},
			"settle": am.settle,
			"sync":   func(*rapid.T) { am.sync() },
			"power": func(t *rapid.T) {
				lost := am.medium.powerLoss(losing(t))
				found, _ := contents(t, lost)
				for s, want := range am.synced {
					got := map[sent]bool{}
					for _, x := range found[s] {
						got[x] = true
					}
					for _, x := range want {
						if !got[x] && x.seq > am.gone[s] {
							t.Fatalf("stream %d: message %d was synced and is lost", s[0], x.seq)
						}
					}
				}
				b, runs, err := openArena(lost.kill())
				if err != nil {
					t.Fatal(err)
				}
				restoreAll(b, runs, func(s Stream, q *Queue, lost uint64) {
					if sum := q.Count() + lost; sum > uint64(len(all[s])) {
						t.Fatalf("stream %d: %d messages are found and %d missing, %d were appended", s[0], q.Count(), lost, len(all[s]))
					}
				})
				for s, k := range found {
					for i, x := range k {
						if !all[s][x] || i > 0 && k[i-1].seq >= x.seq {
							t.Fatalf("stream %d: found a message %d that was not appended, or out of order", s[0], x.seq)
						}
					}
				}
			},
		})
	})
}

// TestArenaBitFlips: damage costs what it hits, is counted, and nothing else
// is made up.
func TestArenaBitFlips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newFakeMedium(20, 20)
		a, _, err := openArena(m)
		if err != nil {
			t.Fatal(err)
		}
		q := New(a, Stream{1})
		want := map[sent]bool{}
		for i := range 200 {
			line := fmt.Sprintf("message %d %s", i, bytes.Repeat([]byte("x"), i))
			seq, _, err := appendTo(q, &logdriver.Message{Line: []byte(line)})
			if err != nil {
				t.Fatal(err)
			}
			want[sent{seq, line}] = true
		}
		after := m.kill()
		for range rapid.IntRange(1, 5).Draw(t, "flips") {
			bit := rapid.IntRange(pageBytes*8, 18*pageBytes*8).Draw(t, "bit")
			after.mem[bit/8] ^= 1 << (bit % 8)
		}
		found, _ := contents(t, after)
		last := uint64(0)
		for _, x := range found[Stream{1}] {
			if !want[x] || x.seq <= last {
				t.Fatalf("made up message %d", x.seq)
			}
			last = x.seq
		}
	})
}

// TestArenaCountsWhatAFlipCosts: after damage in one place, every message that is
// not settled is there or counted, wherever that place is: in the first or last
// message, in a header, or in its copy.
func TestArenaCountsWhatAFlipCosts(t *testing.T) {
	m := newFakeMedium(20, 20)
	a, _, err := openArena(m)
	if err != nil {
		t.Fatal(err)
	}
	q := New(a, Stream{1})
	const messages, settled = 200, 37
	for i := range messages {
		if _, _, err := appendTo(q, &logdriver.Message{Line: bytes.Repeat([]byte{'x'}, i)}); err != nil {
			t.Fatal(err)
		}
	}
	q.Ack(settled)
	check := func(at, bit int) {
		after := m.kill()
		after.mem[at] ^= 1 << bit
		b, runs, err := openArena(after)
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) == 0 {
			t.Fatalf("bit %d at %d: nothing is left", bit, at)
		}
		got, lost := Restore(b, runs)
		if sum := got.Count() + lost; sum != messages-settled {
			t.Fatalf("bit %d at %d: %d messages and %d lost, want %d together", bit, at, got.Count(), lost, messages-settled)
		}
	}
	for at := pageBytes; at < len(m.mem); at++ {
		inPage := at % pageBytes
		if inPage < 2*headerBytes || inPage >= pageBytes-2*headerBytes || at%211 == 0 {
			check(at, at%8)
		}
	}
}

// TestDroppedIsNotDamaged: what was dropped on purpose is not counted again as
// damage after a crash.
func TestDroppedIsNotDamaged(t *testing.T) {
	m := newFakeMedium(40, 40)
	a, _, err := openArena(m)
	if err != nil {
		t.Fatal(err)
	}
	q := New(a, Stream{1})
	line := bytes.Repeat([]byte("x"), pageBytes-500)
	send := func() {
		if _, _, err := appendTo(q, &logdriver.Message{Line: line}); err != nil {
			t.Fatal(err)
		}
	}
	send()
	var w wire.WriteRequest
	q.Take(&w, 1, 1<<20, true, q.Last()) // it is on its way, and stays
	for range 9 {
		send()
	}
	var dropped uint64
	for range 3 {
		n, _, _, err := q.DropOldest(func(Dropped) *logdriver.Message {
			mark := logdriver.NewMessage()
			mark.Line = append(mark.Line, "dropped"...)
			return mark
		})
		if err != nil {
			t.Fatal(err)
		}
		dropped += n
	}
	b, runs, err := openArena(m.kill())
	if err != nil {
		t.Fatal(err)
	}
	got, lost := Restore(b, runs)
	if lost != 0 || dropped < 3 || got.Count() != q.Count() {
		t.Errorf("%d messages were dropped; %d are found and %d missing, want %d and none", dropped, got.Count(), lost, q.Count())
	}
}

// TestFullDisk is like any other store without room, and says so; what is there is
// used to the last page, and the disk again when it has room.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 20
		m := newFakeMedium(40, limit)
		a, _, err := openArena(m)
		if err != nil {
			t.Fatal(err)
		}
		alloc := func(want, need int) (Block, error) { return a.Alloc(Stream{1}, 1, want*pageBytes, need) }
		var blocks []Block
		for range limit - 1 {
			b, err := alloc(1, 100)
			if err != nil {
				t.Fatalf("%d pages of %d can be used: %v", len(blocks)+1, limit, err)
			}
			blocks = append(blocks, b)
		}
		if _, err := alloc(1, 100); !errors.Is(err, ErrFull) || !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("on a full disk: %v", err)
		}
		blocks[7].Free()
		if _, err := alloc(8, 100); err != nil {
			t.Errorf("a small block on a full disk where there is room for it: %v", err)
		}
		m.limit = 40 * pageBytes
		time.Sleep(RetryPause) // in the bubble, no time passes
		if _, err := alloc(8, 100); err != nil {
			t.Errorf("when the disk has room again: %v", err)
		}
	})
}

// FuzzRecover finds whatever a file may hold, and hands it to a queue.
func FuzzRecover(f *testing.F) {
	m := newFakeMedium(4, 4)
	a, _, err := openArena(m)
	if err != nil {
		f.Fatal(err)
	}
	used := func() []byte { return bytes.Clone(bytes.TrimRight(m.mem[pageBytes:], "\x00")) }
	q := New(a, Stream{1})
	for _, n := range []int{4, 0, 3950, 100} {
		if _, _, err := appendTo(q, &logdriver.Message{Line: bytes.Repeat([]byte{'x'}, n), Source: "stdout"}); err != nil {
			f.Fatal(err)
		}
		f.Add(used())
	}
	q.Ack(2)
	f.Add(used())
	headless := used()
	clear(headless[:headerBytes])
	f.Add(headless)
	f.Fuzz(func(t *testing.T, raw []byte) {
		after := m.kill()
		copy(after.mem[pageBytes:], raw)
		b, runs, err := openArena(after)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if r.Count < 0 || r.Count == 0 && r.Damaged == 0 || len(r.buf) < r.off {
				t.Fatalf("impossible run %+v", r)
			}
		}
		restoreAll(b, runs, func(_ Stream, q *Queue, _ uint64) {
			var w wire.WriteRequest
			defer w.Free()
			if n := q.Take(&w, 1, 1<<30, true, q.Last()); n != q.Bytes() {
				t.Fatalf("%d bytes were taken of %d", n, q.Bytes())
			}
			q.Release()
		})
	})
}

func TestDirIsLockedAndRecovered(t *testing.T) {
	path := t.TempDir() + "/spool"
	d, runs, err := Open(path, 1<<20)
	if err != nil || len(runs) != 0 {
		t.Fatal(err, len(runs))
	}
	if _, _, err := Open(path, 1<<20); err == nil {
		t.Fatal("opened twice")
	}
	q := New(d, Stream{9})
	line := bytes.Repeat([]byte("y"), logdriver.MaxLineBytes)
	for _, l := range [][]byte{[]byte("small"), line[:500000]} {
		if _, _, err := appendTo(q, &logdriver.Message{Line: l}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := appendTo(q, &logdriver.Message{Line: line}); err == nil {
		t.Fatal("a spool of 1 MiB took more")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, runs, err = Open(path, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	q, lost := Restore(d, runs)
	if q.Count() != 2 || lost != 0 || q.Last() != 2 {
		t.Fatalf("found %d messages up to %d, lost %d", q.Count(), q.Last(), lost)
	}
	q.Ack(2)
	if _, _, err := appendTo(q, &logdriver.Message{Line: line}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkArenaAppend(b *testing.B) {
	d, _, err := Open(b.TempDir()+"/spool", 8<<20)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	q := New(d, Stream{1})
	m := &logdriver.Message{Source: "stdout", Line: bytes.Repeat([]byte("x"), 100)}
	var w wire.WriteRequest
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		seq, _, err := q.Append(m, wire.Measure(m))
		if err != nil {
			b.Fatal(err)
		}
		if i%500 == 499 {
			q.Take(&w, 1, 1<<20, true, math.MaxUint64)
			w.Free()
			q.Ack(seq)
		}
	}
}
