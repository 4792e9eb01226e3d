package logfile

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// contextFormat is plainFormat with lines "context" on which the others depend, one
// for every contextEvery bytes.
type contextFormat struct{ plainFormat }

const (
	contextEvery = 100
	contextLine  = "context\n"
)

func (contextFormat) NewEncoder() Encoder { return &contextEncoder{since: contextEvery} }
func (contextFormat) NewDecoder() Decoder { return &contextDecoder{} }
func (contextFormat) ContextBytes() int64 { return contextEvery + int64(len(contextLine)) }

type contextEncoder struct{ since int }

func (e *contextEncoder) Append(dst []byte, m *logdriver.Message) []byte {
	if e.since >= contextEvery {
		dst, e.since = append(dst, contextLine...), 0
	}
	n := len(dst)
	dst = plainFormat{}.Append(dst, m)
	e.since += len(dst) - n
	return dst
}

// contextDecoder takes a record without context for a message, as it must, with
// another text.
type contextDecoder struct{ known bool }

func (d *contextDecoder) Decode(frame []byte, m *logdriver.Message) error {
	if string(frame) == contextLine {
		d.known = true
		return ErrNoMessage
	}
	err := plainFormat{}.Decode(frame, m)
	if err == nil && !d.known {
		m.Line = append(m.Line, " without context"...)
	}
	return err
}

// Each file has a context of its own, and what a failed write took with it is
// written again.
func TestContextAfterFailures(t *testing.T) {
	for room := range len(contextLine) + int(size(2, 5)) {
		cfg := config(t)
		cfg.Format, cfg.Sync = contextFormat{}, SyncBatch
		l := mustOpen(t, cfg)
		f := &faulty{writableFile: l.cur.f, room: room}
		if room%2 == 1 {
			f.room, f.sync = -1, syscall.EIO
		}
		l.cur.f = f
		var batch *logdriver.BatchError
		if err := l.Append(numbered(2, 5)); !errors.As(err, &batch) {
			t.Fatal(err)
		}
		f.room, f.sync = -1, nil
		add(t, l, 2+batch.Done, 10)
		for n := range 8 {
			expect(t, l, logdriver.ReadConfig{Tail: n}, texts(10-n, 10))
		}
		l.Close()
	}
}

// What makes an index unusable does not keep a reader from the context.
func TestContextAfterDamage(t *testing.T) {
	cfg := config(t)
	cfg.Format = contextFormat{}
	l := mustOpen(t, cfg)
	add(t, l, 0, 10)
	l.Close()
	write(t, cfg.Path, "rubbish\nand tor")
	l = mustOpen(t, cfg)
	add(t, l, 10, 20)
	for _, n := range []int{1, 10, 15} {
		w := l.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: n})
		got := drainAll(t, w)
		if n > 10 {
			got = slices.Delete(got, n-10, n-9) // the report
		}
		if !slices.Equal(got, texts(20-n, 20)) {
			t.Errorf("%q", got)
		}
	}
}
