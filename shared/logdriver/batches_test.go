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
