package spool

import (
	"bytes"
	"math"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/mem"
	"pgregory.net/rapid"
)

// sent is what a receiver of the queue's batches would see.
type sent struct {
	seq  uint64
	line string
}

func take(t *rapid.T, q *Queue, limit int, force bool) (out []sent, size int) {
	return takeUntil(t, q, limit, force, math.MaxUint64)
}

func takeUntil(t *rapid.T, q *Queue, limit int, force bool, last uint64) (out []sent, size int) {
	var w wire.WriteRequest
	size = q.Take(&w, 7, limit, force, last)
	if size == 0 {
		return nil, 0
	}
	return decode(t, &w), size
}

func decode(t rapid.TB, w *wire.WriteRequest) (out []sent) {
	codec := wire.NewCodec()
	data, err := codec.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var in wire.WriteRequest
	if err := codec.Unmarshal(mem.BufferSlice(data), &in); err != nil {
		t.Fatal(err)
	}
	var d wire.Decoder
	for b, err := range in.Batches() {
		if err != nil {
			t.Fatal(err)
		}
		if b.Logger != 7 {
			t.Fatalf("batch of logger %d", b.Logger)
		}
		for {
			var m logdriver.Message
			ok, err := b.Next(&d, &m)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			out = append(out, sent{m.Seq, string(m.Line)})
		}
	}
	return out
}

// TestQueueModel compares a queue with a slice under random operations.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		qm := &queueModel{q: New(Memory{}, Stream{}), next: 1, entrySize: wire.EntrySize}
		defer qm.q.Release()
		t.Repeat(qm.actions())
	})
}

// appendTo is q.Append.
func appendTo(q *Queue, m *logdriver.Message) (seq uint64, size int, err error) {
	return q.Append(m, wire.Measure(m))
}

func BenchmarkAppendTakeAck(b *testing.B) {
	q := New(Memory{}, Stream{})
	m := &logdriver.Message{Source: "stdout", Line: bytes.Repeat([]byte("x"), 100)}
	var w wire.WriteRequest
	b.ReportAllocs()
	for i := range b.N {
		seq, _, _ := q.Append(m, wire.Measure(m))
		if i%500 == 499 {
			q.Take(&w, 1, 1<<20, true, math.MaxUint64)
			w.Free()
			q.Ack(seq)
		}
	}
}

// What was taken to be sent stays as it is when its messages are settled or dropped
// before it has left, and others use the memory.
func TestTakenMessagesOutliveTheQueue(t *testing.T) {
	line := bytes.Repeat([]byte("x"), 2*lentBytes)
	q := New(Memory{}, Stream{})
	m := logdriver.Message{Line: line}
	if _, _, err := q.Append(&m, wire.Measure(&m)); err != nil {
		t.Fatal(err)
	}
	var w wire.WriteRequest
	if q.Take(&w, 7, math.MaxInt, true, math.MaxUint64) == 0 {
		t.Fatal("nothing was taken")
	}
	q.Ack(1)
	for range 100 {
		other := New(Memory{}, Stream{})
		m := logdriver.Message{Line: bytes.Repeat([]byte("y"), len(line))}
		if _, _, err := other.Append(&m, wire.Measure(&m)); err != nil {
			t.Fatal(err)
		}
		other.Release()
	}
	if out := decode(t, &w); len(out) != 1 || out[0].line != string(line) {
		t.Errorf("%d messages were sent, and not as they were taken", len(out))
	}
}
