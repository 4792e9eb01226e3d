package logfile

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/logplug/logplug/shared/logdriver"
)

// model is what a log should hold.
type model struct {
	streams map[string]uint64 // the last sequence
	lines   []string
}

// TestSequences opens, writes with gaps, kills in the middle of a write, tears and
// reopens logs under several streams, and checks after each opening that LastSeq
// claims what is held, exactly, and that reading gives it.
func TestSequences(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "sequences")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		cfg := Config{Path: filepath.Join(dir, "x"), Format: plainFormat{}, OnError: func(err error) { rt.Error(err) }}
		cfg.MaxFiles = 1000
		cfg.Numbered = rapid.Bool().Draw(rt, "numbered")
		cfg.MaxSize = rapid.SampledFrom([]int64{0, 1, 200, 3000}).Draw(rt, "max-size")
		cfg.Sync = rapid.SampledFrom([]SyncMode{SyncNone, SyncBatch}).Draw(rt, "sync")
		mod := model{streams: map[string]uint64{}}
		for range rapid.IntRange(1, 6).Draw(rt, "runs") {
			cfg.Stream = rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "stream")
			mod.run(rt, cfg)
		}
	})
}

func (mod *model) run(rt *rapid.T, cfg Config) {
	l, err := Open(cfg)
	if err != nil {
		rt.Fatal(err)
	}
	if got, want := l.LastSeq(), mod.streams[cfg.Stream]; got != want {
		rt.Fatalf("stream %s: last sequence %d, want %d", cfg.Stream, got, want)
	}
	seq := mod.streams[cfg.Stream]
	for range rapid.IntRange(0, 4).Draw(rt, "batches") {
		seq += rapid.SampledFrom([]uint64{0, 0, 0, 3}).Draw(rt, "gap")
		msgs := mod.batch(rapid.IntRange(1, 30).Draw(rt, "messages"), &seq)
		if err := l.Append(msgs); err != nil {
			rt.Fatal(err)
		}
		mod.streams[cfg.Stream] = seq
	}
	switch rapid.SampledFrom([]string{"close", "kill", "tear", "half"}).Draw(rt, "end") {
	case "close":
		if err := l.Close(); err != nil {
			rt.Fatal(err)
		}
	case "kill":
		kill(l)
	case "tear":
		kill(l)
		f, err := os.OpenFile(cfg.Path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			rt.Fatal(err)
		}
		_, _ = f.WriteString("17000000000 \"to")
		f.Close()
	case "half":
		mod.dieWriting(rt, l, cfg, seq)
	}
	got := readLines(l)
	if !slices.Equal(got, mod.lines) {
		rt.Fatalf("got %q, want %q", got, mod.lines)
	}
}

func (mod *model) batch(n int, seq *uint64) []*logdriver.Message {
	msgs := numbered(len(mod.lines), len(mod.lines)+n)
	for _, m := range msgs {
		*seq++
		m.Seq = *seq
		mod.lines = append(mod.lines, string(m.Line))
	}
	return msgs
}

// dieWriting stops at some byte of a write.
func (mod *model) dieWriting(rt *rapid.T, l *Log, cfg Config, seq uint64) {
	seq += rapid.SampledFrom([]uint64{0, 5}).Draw(rt, "gap")
	before := len(mod.lines)
	next := seq
	msgs := mod.batch(5, &next)
	var b []byte
	var ends []int
	for _, m := range msgs {
		b = plainFormat{}.Append(b, m)
		ends = append(ends, len(b))
	}
	if cfg.MaxSize > 0 { // a write ends at the border of a file
		b, ends = b[:ends[0]], ends[:1]
	}
	at := rapid.IntRange(0, len(b)).Draw(rt, "byte")
	l.mu.Lock()
	defer kill(l)
	defer l.mu.Unlock()
	if l.full() {
		if err := l.rotate(); err != nil {
			rt.Fatal(err)
		}
	}
	if err := l.claim(msgs[0].Seq); err != nil {
		rt.Fatal(err)
	}
	if _, err := l.cur.f.Write(b[:at]); err != nil {
		rt.Fatal(err)
	}
	held := 0
	for held < len(ends) && ends[held]-1 <= at { // a record without its line's end counts
		held++
	}
	mod.lines = mod.lines[:before+held]
	if held > 0 || seq > mod.streams[cfg.Stream] {
		mod.streams[cfg.Stream] = seq + uint64(held)
	}
}

func readLines(l *Log) []string {
	r := &Reader{l.cfg}
	var got []string
	for m := range r.ReadLogs(context.Background(), all).Msg {
		if m.Err == nil {
			got = append(got, string(m.Line))
		}
	}
	return got
}

// Messages without sequence make no claims.
func TestUnknownSequence(t *testing.T) {
	cfg := config(t)
	l := mustOpen(t, cfg)
	msgs := numbered(0, 3)
	for _, m := range msgs {
		m.Seq = 0
	}
	if err := l.Append(msgs); err != nil {
		t.Fatal(err)
	}
	kill(l)
	if l = mustOpen(t, cfg); l.LastSeq() != 0 {
		t.Errorf("last sequence %d", l.LastSeq())
	}
}

// Reading does not depend on the index; claims need it.
func TestBadIndex(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"removed": func([]byte) []byte { return nil },
		"empty":   func([]byte) []byte { return []byte{} },
		"header":  func(b []byte) []byte { b[3] ^= 1; return b },
		"entry":   func(b []byte) []byte { b[2*entryBytes+1] ^= 1; return b },
		"last":    func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"short":   func(b []byte) []byte { return b[:len(b)-7] },
		"rubbish": func(b []byte) []byte { return append(b, make([]byte, 1000)...) },
		"foreign": func(b []byte) []byte {
			var e [entryBytes]byte
			(&entry{offset: 17, maxTime: math.MaxInt64, records: 1000, seq: 99, stream: streamKey("s")}).marshal(&e)
			return append(b, e[:]...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			cfg.OnError = func(error) {}
			l := mustOpen(t, cfg)
			for i := range 60 {
				add(t, l, i*100, (i+1)*100)
			}
			kill(l)
			idx := cfg.names().index(0)
			b, err := os.ReadFile(idx)
			if err != nil {
				t.Fatal(err)
			}
			os.Remove(idx)
			if b = spoil(b); b != nil {
				write(t, idx, string(b))
			}
			for range 2 {
				for _, r := range []reads{mustReader(t, cfg), mustOpen(t, cfg)} {
					for _, tail := range []int{5, 4000} {
						expect(t, r, logdriver.ReadConfig{Tail: tail}, texts(6000-tail, 6000))
					}
					expect(t, r, logdriver.ReadConfig{Tail: -1, Since: at(5990)}, texts(5990, 6000))
					if l, ok := r.(*Log); ok {
						if got := l.LastSeq(); got != 0 && got != 6000 {
							t.Errorf("last sequence %d", got)
						}
						l.Close()
					}
				}
			}
		})
	}
}

// TestKilledInRotation stops after each of the renames of a rotation to lasting
// names, with and without older files: every message is known to be held.
func TestKilledInRotation(t *testing.T) {
	for _, tc := range []struct {
		name     string
		maxFiles int
		expired  bool
		oldest   int // message that is held in the end
	}{
		{"many files", 20, false, 0},
		{"no older file", 2, false, 6},
		{"older files expired", 20, true, 5},
	} {
		for renames := range 4 {
			t.Run(fmt.Sprintf("%s, %d renames", tc.name, renames), func(t *testing.T) {
				cfg := config(t)
				cfg.Numbered, cfg.MaxSize, cfg.MaxFiles = true, 1, tc.maxFiles
				l := mustOpen(t, cfg)
				add(t, l, 0, 6)
				if tc.expired {
					if _, err := l.expire(time.Now().Add(time.Hour)); err != nil {
						t.Fatal(err)
					}
				}
				killInRotation(t, l, renames)
				l = mustOpen(t, cfg)
				if got := l.LastSeq(); got != 6 {
					t.Errorf("last sequence %d, want 6", got)
				}
				add(t, l, 6, 8)
				expect(t, l, all, texts(tc.oldest, 8))
				if !exists(cfg.names().file(7)) {
					t.Error("the numbers of files do not go on")
				}
			})
		}
	}
}

// killInRotation drops a log after so many of the renames of a rotation to lasting
// names.
func killInRotation(t *testing.T, l *Log, renames int) {
	t.Helper()
	n := l.names
	fresh, err := os.Create(n.fresh())
	if err != nil {
		t.Fatal(err)
	}
	next, err := l.prepare(fresh)
	if err != nil {
		t.Fatal(err)
	}
	next.idx.close()
	fresh.Close()
	if err := l.keep(l.cfg.MaxFiles - 2); err != nil {
		t.Fatal(err)
	}
	for _, rename := range [][2]string{
		{n.index(0), n.index(l.cur.gen)}, {n.file(0), n.file(l.cur.gen)}, {n.freshIndex(), n.index(0)},
	}[:renames] {
		if err := os.Rename(rename[0], rename[1]); err != nil {
			t.Fatal(err)
		}
	}
	kill(l)
}

// An index that could not be written for a while makes no claim afterwards about
// messages that nobody has seen.
func TestNoClaimAfterFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, rotate := range []bool{false, true} {
		cfg := config(t)
		cfg.MaxFiles = 2
		l := mustOpen(t, cfg)
		add(t, l, 0, 3)
		whole := l.cur.idx.f
		l.cur.idx.f = full
		if err := l.Append(numbered(5, 6)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		l.cur.idx.f = whole
		if rotate {
			if err := l.rotate(); err != nil {
				t.Fatal(err)
			}
		}
		l.Close()
		l = mustOpen(t, cfg)
		if got := l.LastSeq(); got > 3 {
			t.Errorf("last sequence %d", got)
		}
		l.Close()
	}
}

// The index of an earlier version may hold the largest of all sequences as a claim.
func TestClaimOfNoMessage(t *testing.T) {
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 3)
	if err := l.cur.idx.add(&entry{offset: l.cur.size, seq: math.MaxUint64, stream: l.stream, records: 3}); err != nil {
		t.Fatal(err)
	}
	kill(l)
	x, err := openIndex(cfg.names().index(0))
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	e, err := x.at(x.n - 1)
	if err != nil {
		t.Fatal(err)
	}
	g := &generation{idx: x}
	if got, err := g.claimed(cfg.Format, e, x.n-1); got != 0 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

// What the power took from before other records is not claimed, whoever opens the log
// first, and is stored when it is sent again.
func TestSequencesAcrossDamage(t *testing.T) {
	t.Parallel()
	for _, other := range []bool{false, true} {
		cfg := config(t)
		l := mustOpen(t, cfg)
		add(t, l, 0, 2)
		add(t, l, 2, 10)
		kill(l)
		f, err := os.OpenFile(cfg.Path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(make([]byte, size(2, 4)), size(0, 2))
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if other {
			o := cfg
			o.Stream = "other"
			l := mustOpen(t, o)
			add(t, l, 20, 22)
			l.Close()
		}
		l = mustOpen(t, cfg)
		last := l.LastSeq()
		if last > 2 || !other && last != 2 {
			t.Errorf("last sequence %d", last)
		}
		add(t, l, int(last), 10)
		l.Close()
		if l = mustOpen(t, cfg); l.LastSeq() != 10 {
			t.Errorf("then %d", l.LastSeq())
		}
		l.Close()
	}
}
