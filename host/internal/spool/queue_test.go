package spool

import (
	"bytes"
	"fmt"
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
		q := New(Memory{}, Stream{})
		defer q.Release()
		var model []sent // what is kept
		next, cursor := uint64(1), 0
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				n := rapid.SampledFrom([]int{0, 1, 100, 5000, 40000}).Draw(t, "size")
				m := &logdriver.Message{Source: "stdout", Line: bytes.Repeat([]byte{'a' + byte(next%26)}, n)}
				if got, size, err := q.Append(m, wire.Measure(m)); got != next || size != wire.EntrySize(m) || err != nil {
					t.Fatalf("sequence %d size %d: %v; want %d %d", got, size, err, next, wire.EntrySize(m))
				}
				model = append(model, sent{next, string(m.Line)})
				next++
			},
			"take": func(t *rapid.T) {
				limit := rapid.SampledFrom([]int{0, 50, 1000, 1 << 20}).Draw(t, "limit")
				force := rapid.Bool().Draw(t, "force")
				last := rapid.SampledFrom([]uint64{math.MaxUint64, next / 2}).Draw(t, "last")
				got, size := takeUntil(t, q, limit, force, last)
				if size > limit && !(force && len(got) == 1) {
					t.Fatalf("took %d bytes, limit %d", size, limit)
				}
				want := model[cursor:]
				if len(got) > 0 && got[len(got)-1].seq > last {
					t.Fatalf("took %d, beyond %d", got[len(got)-1].seq, last)
				}
				if (force || limit == 1<<20) && len(want) > 0 && want[0].seq <= last && len(got) == 0 {
					t.Fatal("took nothing")
				}
				if fmt.Sprint(got) != fmt.Sprint(append([]sent(nil), want[:len(got)]...)) {
					t.Fatalf("took %v, want a prefix of %v", got, want)
				}
				cursor += len(got)
			},
			"ack": func(t *rapid.T) {
				n := rapid.IntRange(0, cursor).Draw(t, "n")
				if n == 0 {
					return
				}
				messages, _ := q.Ack(model[n-1].seq)
				if messages != uint64(n) {
					t.Fatalf("acked %d, want %d", messages, n)
				}
				model, cursor = model[n:], cursor-n
			},
			"drop": func(t *rapid.T) {
				var mark Dropped
				messages, _, marks, err := q.DropOldest(func(d Dropped) *logdriver.Message {
					mark = d
					m := logdriver.NewMessage()
					m.Line = fmt.Appendf(m.Line, "dropped %d to %d", d.First, d.Last)
					m.Source = "stdout"
					return m
				})
				if err != nil {
					t.Fatal(err)
				}
				if messages == 0 {
					return
				}
				// Everything between the mark's sequences is gone, none of it was sent.
				var kept []sent
				removed := 0
				for i, s := range model {
					switch {
					case s.seq < mark.First:
						kept = append(kept, s)
					case s.seq > mark.Last:
						kept = append(kept, s)
					case i < cursor:
						t.Fatalf("dropped %d, which was sent", s.seq)
					default:
						removed++
					}
					if s.seq == mark.Last {
						kept = append(kept, sent{mark.Last, fmt.Sprintf("dropped %d to %d", mark.First, mark.Last)})
					}
				}
				if uint64(removed) != messages+uint64(1-marks) {
					t.Fatalf("says %d dropped and %d new marks, %d are gone", messages, marks, removed)
				}
				model = kept
			},
			"rewind": func(*rapid.T) { q.Rewind(); cursor = 0 },
			"": func(t *rapid.T) {
				size := 0
				for _, s := range model {
					size += wire.EntrySize(&logdriver.Message{Source: "stdout", Line: []byte(s.line)})
				}
				if q.Count() != uint64(len(model)) || q.Bytes() != size || q.Last() != next-1 {
					t.Fatalf("count %d bytes %d last %d, want %d %d %d", q.Count(), q.Bytes(), q.Last(), len(model), size, next-1)
				}
				if q.Unsent() != (cursor < len(model)) {
					t.Fatalf("unsent %v; model has %d, cursor %d", q.Unsent(), len(model), cursor)
				}
				if cursor > 0 && q.Sent() < model[cursor-1].seq || cursor < len(model) && q.Sent() >= model[cursor].seq {
					t.Fatalf("sent %d; model's cursor is %d of %v", q.Sent(), cursor, model)
				}
				if len(model) == 0 && q.chunks != nil {
					t.Fatal("an empty queue holds chunks")
				}
			},
		})
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
