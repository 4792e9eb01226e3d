package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/logplug/logplug/sdk/internal/redact"
)

// hclogTime is the layout of hclog's timestamps.
const hclogTime = "2006-01-02T15:04:05.000000Z07:00"

// LevelTrace is hclog's lowest level, below slog's.
const LevelTrace = slog.LevelDebug - 4

// Handler is a slog.Handler that writes lines of JSON as hclog does, so that a
// host can log them at their levels. Names of groups are joined to keys
// with dots. Secrets are masked in all texts.
type Handler struct {
	out     io.Writer
	level   slog.Leveler
	module  string
	secrets *redact.Set
	prefix  string // of keys, with a dot at the end
	attrs   []byte // encoded, each with a comma before it
}

// NewHandler returns a handler that writes each record with one Write.
func NewHandler(out io.Writer, level slog.Leveler, module string, secrets *redact.Set) *Handler {
	return &Handler{out: out, level: level, module: module, secrets: secrets}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		c.attrs = h.appendAttr(c.attrs, h.prefix, a)
	}
	return &c
}

var lines = sync.Pool{New: func() any { return new([]byte) }}

// maxPooledLine bounds what a pooled buffer may hold on to.
const maxPooledLine = 16 << 10

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	buf := lines.Get().(*[]byte)
	b := append((*buf)[:0], `{"@level":"`...)
	b = append(b, levelName(r.Level)...)
	b = h.appendText(append(b, `","@message":`...), r.Message)
	b = h.appendText(append(b, `,"@module":`...), h.module)
	if !r.Time.IsZero() {
		b = append(b, `,"@timestamp":"`...)
		b = r.Time.AppendFormat(b, hclogTime)
		b = append(b, '"')
	}
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = h.appendAttr(b, h.prefix, a)
		return true
	})
	b = append(b, "}\n"...)
	_, err := h.out.Write(b)
	if cap(b) <= maxPooledLine {
		*buf = b
		lines.Put(buf)
	}
	return err
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "trace"
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

func (h *Handler) appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, g := range v.Group() {
			b = h.appendAttr(b, prefix, g)
		}
		return b
	}
	if a.Key == "" && v.Any() == nil {
		return b
	}
	key := prefix + a.Key
	if strings.HasPrefix(key, "@") {
		key = "attr." + key // those with "@" are the line's own
	}
	b = append(b, ',')
	b = appendJSON(b, key)
	b = append(b, ':')
	return h.appendValue(b, v)
}

func (h *Handler) appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindTime:
		return h.appendText(b, v.Time().Format(time.RFC3339Nano))
	case slog.KindAny:
		return h.appendAny(b, v.Any())
	}
	return h.appendText(b, v.String())
}

func (h *Handler) appendAny(b []byte, v any) []byte {
	if err, ok := v.(error); ok {
		return h.appendText(b, text(err.Error))
	}
	data, err := json.Marshal(v)
	if err != nil {
		return h.appendText(b, fmt.Sprintf("%+v", v))
	}
	if h.secrets.Text(string(data)) != string(data) {
		return h.appendText(b, string(data)) // masking may have broken the JSON
	}
	return append(b, data...)
}

// text calls a method that may not be prepared for a nil receiver.
func text(f func() string) (s string) {
	defer func() {
		if r := recover(); r != nil {
			s = fmt.Sprintf("!PANIC: %v", r)
		}
	}()
	return f()
}

func (h *Handler) appendText(b []byte, s string) []byte { return appendJSON(b, h.secrets.Text(s)) }

func appendJSON(b []byte, s string) []byte {
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can always be encoded
	return append(b, bytes.TrimSuffix(w.Bytes(), []byte("\n"))...)
}
