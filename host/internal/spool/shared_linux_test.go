package spool

import (
	"bytes"
	"math"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
	"pgregory.net/rapid"
)

func newSharedMemory(t interface{ Fatal(...any) }) *wire.WriteMemory {
	memory, file, err := wire.NewWriteMemory()
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	return memory
}

// TestSharedQueueModel is TestQueueModel for queues that keep their messages in memory that a driver
// reads, and go on in that of its successors.
func TestSharedQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		memory := newSharedMemory(t)
		qm := &queueModel{q: New(Memory{Shared: memory}, Stream{}), next: 1, entrySize: wire.EntrySize}
		actions := qm.actions()
		actions["replace"] = func(t *rapid.T) {
			if err := memory.Close(); err != nil {
				t.Fatal(err)
			}
			memory = newSharedMemory(t)
			qm.q.Use(Memory{Shared: memory})
			qm.q.Rewind()
			qm.cursor = 0
		}
		t.Repeat(actions)
		qm.q.Release()
		if err := memory.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBusyQueueIsShared: what fills blocks is sent from where it was put, each block as one message,
// once; a block to which messages may still be added stays for the next request.
func TestBusyQueueIsShared(t *testing.T) {
	memory := newSharedMemory(t)
	defer memory.Close()
	q := New(Memory{Shared: memory}, Stream{})
	defer q.Release()
	m := &logdriver.Message{Line: bytes.Repeat([]byte("x"), 100)}
	fill := func(n int) {
		for range n {
			if !q.AppendQuickly(m, wire.Measure(m)) {
				if _, _, err := appendTo(q, m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	fill(2000)
	shared := func() (n int) {
		for _, c := range q.chunks {
			if b := c.block.(*memoryBlock); b.shared != nil {
				n++
			}
		}
		return n
	}
	if n := shared(); n < 4 {
		t.Fatalf("%d of %d blocks are shared", n, len(q.chunks))
	}
	var w wire.WriteRequest
	before := q.chunks[len(q.chunks)-1]
	if q.Take(&w, 7, 1<<20, true, math.MaxUint64); q.Sent() != before.first-1 {
		t.Errorf("sent up to %d, the last block begins with %d", q.Sent(), before.first)
	}
	first := decode(t, &w)
	if q.Take(&w, 7, 1<<20, true, math.MaxUint64); q.Sent() != q.Last() {
		t.Errorf("sent up to %d of %d", q.Sent(), q.Last())
	}
	rest := decode(t, &w)
	if n := len(first) + len(rest); n != 2000 || rest[0].seq != before.first {
		t.Errorf("%d messages were taken", n)
	}
	fill(10) // more in the block that was sent
	if q.Take(&w, 7, 1<<20, true, math.MaxUint64); q.Sent() != q.Last() {
		t.Errorf("sent up to %d of %d", q.Sent(), q.Last())
	}
	if out := decode(t, &w); len(out) != 10 || out[0].seq != 2001 {
		t.Errorf("%d messages were taken behind what was sent of the last block", len(out))
	}
	q.Rewind() // another session, in which blocks are no messages any more
	all := 0
	for q.Unsent() {
		q.Take(&w, 7, 1<<20, true, math.MaxUint64)
		all += len(decode(t, &w))
	}
	if all != 2010 {
		t.Errorf("%d messages were taken again", all)
	}
}

var _ = [1]struct{}{}[maxChunkBytes-wire.BlockBytes] // blocks of a busy queue are those that are shared
