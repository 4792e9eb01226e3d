package logdriver

import (
	"context"
	"errors"
	"io"
	"testing"
)

// Messages keep their order when the consumer begins to take batches.
func TestReceiveBatchOrder(t *testing.T) {
	for singles := range 4 {
		w := NewLogWatcher()
		seq := uint64(0)
		next := func() *Message {
			seq++
			return &Message{Seq: seq}
		}
		for range singles {
			w.Send(t.Context(), next())
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if singles == 0 { // a call that finds nothing
			if _, err := w.ReceiveBatch(gone, nil); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		w.batching.Store(true)
		if n := w.SendBatch(t.Context(), []*Message{next(), next()}); n != 2 {
			t.Fatalf("sent %d", n)
		}
		w.Send(t.Context(), next())
		if !w.Waiting() {
			t.Error("nothing is waiting")
		}
		close(w.Msg)
		got := uint64(0)
		for m, err := range w.All() {
			if got++; err != nil || m.Seq != got {
				t.Fatalf("message %d: %v, %v", got, m, err)
			}
		}
		if got != seq {
			t.Errorf("%d of %d messages", got, seq)
		}
		if _, err := w.ReceiveBatch(t.Context(), nil); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
}

func TestSendBatchOne(t *testing.T) {
	w := NewLogWatcher()
	if n := w.SendBatch(t.Context(), []*Message{{Seq: 1}, {Seq: 2}}); n != 2 || len(w.Msg) != 2 {
		t.Errorf("sent %d, %d wait", n, len(w.Msg))
	}
}

func TestSendBatchClosed(t *testing.T) {
	w := NewLogWatcher()
	w.batching.Store(true)
	for range waitingBatches {
		w.SendBatch(t.Context(), []*Message{{}})
	}
	w.Close()
	if n := w.SendBatch(t.Context(), []*Message{{}}); n != 0 {
		t.Errorf("sent %d to a consumer that is gone", n)
	}
	if w.Send(t.Context(), &Message{}) {
		t.Error("sent to a consumer that is gone")
	}
}

// TestSpentBatches: the producer gets the messages of large batches back, empty, unless they hold much.
func TestSpentBatches(t *testing.T) {
	batchOf := func(n, size int) []*Message {
		var batch []*Message
		for range n {
			m := NewMessage()
			m.Line = append(m.Line, make([]byte, size)...)
			m.Source = "stdout"
			batch = append(batch, m)
		}
		return batch
	}
	for name, c := range map[string]struct {
		n, size int
		back    bool
	}{
		"large": {minSpent, 100, true}, "small": {minSpent - 1, 100, false}, "with long lines": {minSpent, maxSpentBytes/minSpent + 1, false},
	} {
		w := NewLogWatcher()
		batch := batchOf(c.n, c.size)
		sent := make(map[*Message]bool)
		for _, m := range batch {
			sent[m] = true
		}
		w.PutBatch(batch)
		if got := len(w.batches.spent) > 0; got != c.back {
			t.Errorf("%s: comes back: %t", name, got)
			continue
		}
		for n := range c.n {
			m := w.NewMessage()
			if c.back && !sent[m] {
				t.Fatalf("%s: message %d is another", name, n)
			}
			if len(m.Line) > 0 || m.Source != "" {
				t.Fatalf("%s: message %d is not empty", name, n)
			}
			delete(sent, m)
		}
		if m := w.NewMessage(); m == nil || sent[m] {
			t.Errorf("%s: a message more is %v", name, m)
		}
	}
	w := NewLogWatcher()
	for range waitingBatches + 1 { // nobody takes them
		w.PutBatch(batchOf(minSpent, 1))
	}
}
