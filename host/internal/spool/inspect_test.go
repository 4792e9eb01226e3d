package spool

import (
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

func TestInspect(t *testing.T) {
	q := New(Memory{}, Stream{})
	defer q.Release()
	if got := q.Oldest(); !got.IsZero() {
		t.Errorf("an empty queue's oldest message is of %v", got)
	}
	const n = 2000 // several chunks
	start := time.Date(2031, 2, 3, 4, 5, 6, 7, time.UTC)
	sizes := make([]int, n+1)
	for i := 1; i <= n; i++ {
		m := &logdriver.Message{Line: make([]byte, i%300), Timestamp: start.Add(time.Duration(i) * time.Second)}
		var err error
		if _, sizes[i], err = q.Append(m, wire.Measure(m)); err != nil {
			t.Fatal(err)
		}
	}
	for _, acked := range []uint64{0, 1, 700, n - 1} {
		q.Ack(acked)
		if got, want := q.Oldest(), start.Add(time.Duration(acked+1)*time.Second); !got.Equal(want) {
			t.Errorf("with %d acknowledged, the oldest is of %v, want %v", acked, got, want)
		}
		messages, bytes := uint64(0), 0
		seqs := []uint64{1, 2, 5, 699, 700, 701, 1500, n, n + 1}
		for _, s := range seqs {
			if s > acked && s <= n {
				messages, bytes = messages+1, bytes+sizes[s]
			}
		}
		if m, b := q.Measure(seqs); m != messages || b != bytes {
			t.Errorf("with %d acknowledged: %d messages of %d bytes, want %d of %d", acked, m, b, messages, bytes)
		}
	}
	q.Ack(n)
	if got := q.Oldest(); !got.IsZero() {
		t.Errorf("an emptied queue's oldest message is of %v", got)
	}
}

func TestElementTimeOfMessageWithoutTime(t *testing.T) {
	b := wire.AppendEntry(nil, &logdriver.Message{Line: []byte("x")})
	if got := wire.ElementTime(b); !got.IsZero() {
		t.Errorf("got %v", got)
	}
	if got := wire.ElementTime(nil); !got.IsZero() {
		t.Errorf("got %v of nothing", got)
	}
}
