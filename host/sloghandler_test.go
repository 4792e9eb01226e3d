package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

func TestHandlerConformsToSlog(t *testing.T) {
	var dst *collector
	newHandler := func(*testing.T) slog.Handler {
		dst = new(collector)
		return NewHandler(dst, nil)
	}
	slogtest.Run(t, newHandler, func(t *testing.T) map[string]any {
		msgs := dst.messages()
		if len(msgs) != 1 {
			t.Fatalf("got %d messages, want 1", len(msgs))
		}
		return fromJSON(t, msgs[0].Line)
	})
}

func fromJSON(t *testing.T, line []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	return m
}

// The handler writes what slog's own handlers write, whatever was derived.
func TestHandlerFormats(t *testing.T) {
	opts := slog.HandlerOptions{Level: slog.LevelDebug}
	for name, tc := range map[string]struct {
		format Format
		inner  func(*bytes.Buffer) slog.Handler
	}{
		"json": {FormatJSON, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, &opts) }},
		"text": {FormatText, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, &opts) }},
	} {
		t.Run(name, func(t *testing.T) {
			var want bytes.Buffer
			dst := new(collector)
			at := time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
			for _, h := range []slog.Handler{tc.inner(&want), NewHandler(dst, &HandlerOptions{HandlerOptions: opts, Format: tc.format})} {
				for range 2 {
					r := slog.NewRecord(at, slog.LevelDebug, "two\nlines", 0)
					r.Add("err", errDisk, "n", 1)
					h = h.WithAttrs([]slog.Attr{slog.Int("a", 1), slog.Any("v", valuer("x"))}).WithGroup("g").WithAttrs(nil)
					if err := h.Handle(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
			}
			diff(t, "lines", string(joined(dst.messages())), want.String())
			for _, m := range dst.messages() {
				if m.Source != SlogSource || !m.Timestamp.Equal(at) || m.Attrs != nil {
					t.Errorf("message from %q at %v with %v", m.Source, m.Timestamp, m.Attrs)
				}
			}
		})
	}
}

type valuer string

func (v valuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("value", string(v)), slog.Any("nested", slog.StringValue("y")))
}

// Handlers that derive from one handler don't share their attributes.
func TestHandlerSiblings(t *testing.T) {
	dst := new(collector)
	base := slog.New(NewHandler(dst, &HandlerOptions{Format: FormatText})).With("base", 0)
	a, b := base.With("a", 1), base.With("b", 2)
	for _, l := range []*slog.Logger{a, b, base} {
		l.Info("m")
	}
	var got []string
	for _, m := range dst.messages() {
		_, attrs, _ := strings.Cut(string(m.Line), "msg=m ")
		got = append(got, attrs)
	}
	diff(t, "attributes", got, []string{"base=0 a=1", "base=0 b=2", "base=0"})
}

func TestHandlerAttrs(t *testing.T) {
	dst := new(collector)
	l := slog.New(NewHandler(dst, &HandlerOptions{Source: "app", Attrs: LevelAttr("severity")}))
	l.Debug("not logged")
	l.Warn("first")
	l.Log(t.Context(), slog.LevelError+2, "second")
	var got [][]logdriver.Attr
	for _, m := range dst.of("app") {
		got = append(got, m.Attrs)
	}
	diff(t, "attributes", got, [][]logdriver.Attr{
		{{Key: "severity", Value: "WARN"}}, {{Key: "severity", Value: "ERROR+2"}}})
}

func TestHandlerWithoutTime(t *testing.T) {
	dst := new(collector)
	before := time.Now()
	if err := NewHandler(dst, nil).Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)); err != nil {
		t.Fatal(err)
	}
	m := dst.messages()[0]
	if m.Timestamp.Before(before) {
		t.Errorf("the message has time %v", m.Timestamp)
	}
	if _, ok := fromJSON(t, m.Line)["time"]; ok {
		t.Errorf("line %q has a time", m.Line)
	}
}

func TestHandlerErrors(t *testing.T) {
	dst := &collector{refuse: func(int, *logdriver.Message) error { return logdriver.ErrSpoolFull }}
	h := NewHandler(dst, nil)
	err := h.WithGroup("g").Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0))
	if !errors.Is(err, logdriver.ErrSpoolFull) {
		t.Errorf("Handle returned %v", err)
	}
	diff(t, "lost", h.Lost(), Loss{Messages: 1, Bytes: uint64(len(`{"level":"INFO","msg":"m"}`))})
}

// A value that logs while it is being logged must not wait for itself.
func TestHandlerReentered(t *testing.T) {
	dst := new(collector)
	l := slog.New(NewHandler(dst, nil))
	l.Info("outer", "v", logging{l})
	var got []any
	for _, m := range dst.messages() {
		got = append(got, fromJSON(t, m.Line)["msg"])
	}
	diff(t, "messages", got, []any{"inner", "outer"})
}

type logging struct{ l *slog.Logger }

func (v logging) LogValue() slog.Value {
	v.l.Info("inner")
	return slog.StringValue("done")
}

func TestHandlerConcurrently(t *testing.T) {
	dst := new(collector)
	l := slog.New(NewHandler(dst, nil))
	const goroutines, records = 8, 200
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			l := l.With("g", g)
			for i := range records {
				l.Info("m", "i", i)
			}
		})
	}
	wg.Wait()
	next := make(map[any]float64)
	for _, m := range dst.messages() {
		rec := fromJSON(t, m.Line)
		if rec["i"] != next[rec["g"]] {
			t.Fatalf("goroutine %v: record %v came in place of %v", rec["g"], rec["i"], next[rec["g"]])
		}
		next[rec["g"]]++
	}
	if len(next) != goroutines {
		t.Errorf("got records of %d goroutines, want %d", len(next), goroutines)
	}
}

func BenchmarkHandler(b *testing.B) {
	l := slog.New(NewHandler(devNull{}, nil)).With("component", "bench")
	b.ReportAllocs()
	for b.Loop() {
		l.LogAttrs(context.Background(), slog.LevelInfo, "message", slog.Int("n", 42))
	}
}

func ExampleNewHandler() {
	dst := new(collector) // a Logger that a Host opened
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	l := slog.New(NewHandler(dst, &HandlerOptions{HandlerOptions: slog.HandlerOptions{ReplaceAttr: noTime}}))
	l.Info("started", "port", 8080)

	for _, m := range dst.messages() {
		_, _ = fmt.Fprintf(os.Stdout, "%s: %s\n", m.Source, m.Line)
	}
	// Output:
	// slog: {"level":"INFO","msg":"started","port":8080}
}
