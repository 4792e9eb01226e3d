package host

import (
	"io"
	"log/slog"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/logplug/logplug/shared/logdriver"
)

// newIntercept returns an hclog.Logger that only its sinks hear.
func newIntercept(sinks ...hclog.SinkAdapter) hclog.InterceptLogger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "app", Level: hclog.Trace, Output: io.Discard})
	for _, s := range sinks {
		l.RegisterSink(s)
	}
	return l
}

func TestHCLogSink(t *testing.T) {
	dst := new(collector)
	l := newIntercept(NewHCLogSink(dst, &HandlerOptions{
		HandlerOptions: slog.HandlerOptions{Level: HCLogLevel(hclog.Trace)},
		Attrs:          LevelAttr("level"),
	}))
	stack := hclog.Stacktrace()
	l.Trace("t")
	l.Debug("d", "err", errDisk, "fmt", hclog.Fmt("%d%%", 5), 7, "odd key")
	l.Named("sub").With("with", true).Info("i", "hex", hclog.Hex(255), "oct", hclog.Octal(8), "bin", hclog.Binary(5), "q", hclog.Quote("a b"))
	l.Warn("w", "lonely")
	l.Error("e", stack)
	l.Log(hclog.NoLevel, "n")

	want := []map[string]any{
		{"level": "trace", "msg": "t", "module": "app"},
		{"level": "debug", "msg": "d", "module": "app", "err": errDisk.Error(), "fmt": "5%", "7": "odd key"},
		{"level": "info", "msg": "i", "module": "app.sub", "with": true, "hex": "0xff", "oct": "010", "bin": "0b101", "q": "a b"},
		{"level": "warn", "msg": "w", "module": "app", hclog.MissingKey: "lonely"},
		{"level": "error", "msg": "e", "module": "app", "stacktrace": string(stack)},
		{"level": "info", "msg": "n", "module": "app"},
	}
	msgs := dst.of(HCLogSource)
	if len(msgs) != len(want) {
		t.Fatalf("got %d messages, want %d", len(msgs), len(want))
	}
	for i, m := range msgs {
		got := fromJSON(t, m.Line)
		delete(got, "time")
		diff(t, string(m.Line), got, want[i])
		if m.Timestamp.IsZero() || len(m.Attrs) != 1 {
			t.Errorf("message %d has time %v and attributes %v", i, m.Timestamp, m.Attrs)
		}
	}
}

func TestHCLogSinkLevels(t *testing.T) {
	dst := new(collector)
	l := newIntercept(NewHCLogSink(dst, nil))
	l.Debug("no")
	l.Info("yes")
	if got := len(dst.messages()); got != 1 {
		t.Errorf("got %d messages, want that of level info", got)
	}
	off := new(collector)
	l = newIntercept(NewHCLogSink(off, &HandlerOptions{HandlerOptions: slog.HandlerOptions{Level: HCLogLevel(hclog.Off)}}))
	l.Error("no")
	if got := len(off.messages()); got != 0 {
		t.Errorf("got %d messages with level off", got)
	}
}

func TestHCLogSinkCountsLosses(t *testing.T) {
	s := NewHCLogSink(&collector{refuse: func(int, *logdriver.Message) error { return errDisk }}, nil)
	newIntercept(s).Info("lost")
	if got := s.Lost(); got.Messages != 1 || got.Bytes == 0 {
		t.Errorf("Lost returned %v, want one message", got)
	}
}

// ReplaceAttr of the user sees the level as a slog.Level, and has the last word.
func TestHCLogSinkReplaceAttr(t *testing.T) {
	dst := new(collector)
	s := NewHCLogSink(dst, &HandlerOptions{HandlerOptions: slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			return slog.String("severity", a.Value.Any().(slog.Level).String())
		}
		return a
	}}})
	s.Accept("", hclog.Warn, "m")
	got := fromJSON(t, dst.messages()[0].Line)
	delete(got, "time")
	diff(t, "record", got, map[string]any{"severity": "WARN", "msg": "m"})
}

func TestHCLogFormatIsForgiving(t *testing.T) {
	for _, f := range []hclog.Format{{}, {1, 2}, {"%d", "x"}} {
		_ = hclogFormat(f) // no panic, whatever was built by hand
	}
}
