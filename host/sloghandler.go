package host

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// SlogSource is the source of a Handler's messages where none is given.
const SlogSource = "slog"

// Format is how a Handler writes a record as a line.
type Format int

// The formats of a line.
const (
	// FormatJSON is that of slog.JSONHandler.
	FormatJSON Format = iota
	// FormatText is that of slog.TextHandler.
	FormatText
)

// HandlerOptions are the choices of NewHandler. The zero value has defaults.
type HandlerOptions struct {
	// HandlerOptions are slog's own: the minimum level (slog.LevelInfo where
	// none is given), AddSource and ReplaceAttr.
	slog.HandlerOptions
	// Format is FormatJSON unless set.
	Format Format
	// Source becomes Message.Source; SlogSource if empty. Invalid UTF-8 is
	// replaced, and what exceeds logdriver.MaxSourceBytes is cut off.
	Source string
	// Attrs, if not nil, appends the attributes of a record's message to attrs and
	// returns the extended slice. What it returns is subject to the limits of
	// Message.Attrs. It may be called from several goroutines at once.
	// LevelAttr makes a simple one.
	Attrs func(ctx context.Context, r slog.Record, attrs []logdriver.Attr) []logdriver.Attr
}

// LevelAttr is for HandlerOptions.Attrs: messages get the record's level as
// the attribute key, in slog's notation ("INFO", "ERROR+2").
func LevelAttr(key string) func(context.Context, slog.Record, []logdriver.Attr) []logdriver.Attr {
	return func(_ context.Context, r slog.Record, attrs []logdriver.Attr) []logdriver.Attr {
		return append(attrs, logdriver.Attr{Key: key, Value: r.Level.String()})
	}
}

// Handler is a slog.Handler that logs each record as one message of a Logger.
// The line is the record as slog's own handlers write it, without newline; the
// timestamp is the record's. It is safe for concurrent use.
//
// slog.Logger ignores the errors of its handler. What the Logger does not take is
// therefore counted, by Lost.
type Handler struct {
	dst   logdriver.Logger
	opts  *HandlerOptions
	steps []func(slog.Handler) slog.Handler // WithAttrs and WithGroup, in order
	lost  *tally                            // shared by all that derive from one NewHandler

	// formatters of this very handler. A handler of slog is bound to its writer,
	// and calls of Handle overlap, also within a goroutine: a LogValuer may
	// log. So each call has a formatter to itself.
	formatters *sync.Pool
}

// NewHandler returns a Handler onto l. A nil opts means defaults.
func NewHandler(l logdriver.Logger, opts *HandlerOptions) *Handler {
	h := &Handler{dst: l, opts: new(HandlerOptions), lost: new(tally)}
	if opts != nil {
		*h.opts = *opts
	}
	if h.opts.Source == "" {
		h.opts.Source = SlogSource
	}
	h.opts.Source = validSource(h.opts.Source)
	return h.derive(nil)
}

// Enabled tells whether records of the level are logged.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	least := slog.LevelInfo
	if h.opts.Level != nil {
		least = h.opts.Level.Level()
	}
	return level >= least
}

// Handle logs r. Its error is the Logger's.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	m := logdriver.NewMessage()
	if err := h.format(ctx, r, m); err != nil {
		h.lost.add(len(m.Line))
		logdriver.PutMessage(m)
		return fmt.Errorf("format log record: %w", err)
	}
	m.Source, m.Timestamp = h.opts.Source, r.Time
	if m.Timestamp.IsZero() {
		m.Timestamp = time.Now()
	}
	if h.opts.Attrs != nil {
		m.Attrs = h.opts.Attrs(ctx, r, m.Attrs)
	}
	if err := logOrLose(h.dst, m, h.lost); err != nil {
		return fmt.Errorf("log record: %w", err)
	}
	return nil
}

// WithAttrs returns a Handler whose records have attrs too.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	// Formatters are made as they are needed, but an attribute of a handler has
	// the value that it had here.
	attrs = resolve(attrs)
	return h.derive(func(inner slog.Handler) slog.Handler { return inner.WithAttrs(slices.Clone(attrs)) })
}

// WithGroup returns a Handler whose records' further attributes are in a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.derive(func(inner slog.Handler) slog.Handler { return inner.WithGroup(name) })
}

// Lost returns what was not logged by h, the handlers that it was derived from,
// and those derived from them.
func (h *Handler) Lost() Loss { return h.lost.loss() }

// derive returns a copy of h with one step more; nil stands for none.
func (h *Handler) derive(step func(slog.Handler) slog.Handler) *Handler {
	d := *h
	if step != nil {
		d.steps = append(slices.Clip(h.steps), step)
	}
	d.formatters = &sync.Pool{New: func() any { return newFormatter(d.opts, d.steps) }}
	return &d
}

// format writes r to m.Line.
func (h *Handler) format(ctx context.Context, r slog.Record, m *logdriver.Message) error {
	f := h.formatters.Get().(*formatter)
	f.line = m.Line[:0]
	err := f.inner.Handle(ctx, r)
	m.Line, f.line = f.line, nil
	h.formatters.Put(f)
	if n := len(m.Line); n > 0 && m.Line[n-1] == '\n' {
		m.Line = m.Line[:n-1]
	}
	return err
}

// formatter is one of slog's handlers, writing to line.
type formatter struct {
	inner slog.Handler
	line  []byte
}

func newFormatter(opts *HandlerOptions, steps []func(slog.Handler) slog.Handler) *formatter {
	f := new(formatter)
	f.inner = newInner(f, opts)
	for _, step := range steps {
		f.inner = step(f.inner)
	}
	return f
}

func newInner(w io.Writer, opts *HandlerOptions) slog.Handler {
	if opts.Format == FormatText {
		return slog.NewTextHandler(w, &opts.HandlerOptions)
	}
	return slog.NewJSONHandler(w, &opts.HandlerOptions)
}

// Write is called by the inner handler.
func (f *formatter) Write(p []byte) (int, error) {
	f.line = append(f.line, p...)
	return len(p), nil
}

// resolve returns attrs with the values that LogValuers have now.
func resolve(attrs []slog.Attr) []slog.Attr {
	resolved := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		v := a.Value.Resolve()
		if v.Kind() == slog.KindGroup {
			v = slog.GroupValue(resolve(v.Group())...)
		}
		resolved[i] = slog.Attr{Key: a.Key, Value: v}
	}
	return resolved
}

var _ slog.Handler = (*Handler)(nil)
