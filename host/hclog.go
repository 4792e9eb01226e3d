package host

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/logplug/logplug/shared/logdriver"
)

// HCLogSource is the source of an HCLogSink's messages where none is given.
const HCLogSource = "hclog"

const (
	// hclogStep is the distance of hclog's levels in slog's numbers.
	hclogStep = 4
	// hclogModuleKey is the key of a logger's name.
	hclogModuleKey = "module"
	// hclogStacktraceKey is the key of a stack trace given without one, as hclog
	// writes it.
	hclogStacktraceKey = "stacktrace"
)

// HCLogSink is an hclog.SinkAdapter that logs each record as one message of a
// Logger, in the format of a Handler: time, level ("trace" to "error"), msg,
// module for the name of the hclog.Logger, and its arguments. Register it with
// an hclog.InterceptLogger. It is safe for concurrent use.
//
// Sinks return no errors: what the Logger does not take is counted, by Lost.
//
// Keep the output of a Host's own hclog.Logger out of that Host's loggers: what
// it says about a failing logger would go to that logger.
//
// An hclog.Logger that is not an InterceptLogger can write to a Writer instead:
// set hclog.LoggerOptions.Output.
type HCLogSink struct {
	handler *Handler
}

// NewHCLogSink returns a sink onto l. A nil opts means defaults: HCLogSource,
// and the level hclog.Info. HCLogLevel gives the level for opts.
func NewHCLogSink(l logdriver.Logger, opts *HandlerOptions) *HCLogSink {
	var o HandlerOptions
	if opts != nil {
		o = *opts
	}
	if o.Source == "" {
		o.Source = HCLogSource
	}
	o.ReplaceAttr = hclogLevelNames(o.ReplaceAttr)
	return &HCLogSink{handler: NewHandler(l, &o)}
}

// Accept logs one record.
func (s *HCLogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	ctx := context.Background()
	l := HCLogLevel(level)
	if !s.handler.Enabled(ctx, l) {
		return
	}
	r := slog.NewRecord(time.Now(), l, msg, 0)
	if name != "" {
		r.AddAttrs(slog.String(hclogModuleKey, name))
	}
	addHCLogArgs(&r, args)
	_ = s.handler.Handle(ctx, r) // counted by the handler
}

// Lost returns what the Logger has not taken so far.
func (s *HCLogSink) Lost() Loss { return s.handler.Lost() }

// HCLogLevel returns the slog.Level that corresponds to level. hclog.NoLevel is
// taken for hclog.Info, as hclog does. For hclog.Off it is above every other.
func HCLogLevel(level hclog.Level) slog.Level {
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	return slog.LevelInfo + slog.Level(level-hclog.Info)*hclogStep
}

// hclogLevelNames returns a ReplaceAttr that writes levels as hclog names them,
// and calls next, if there is one, with every attribute before.
func hclogLevelNames(next func([]string, slog.Attr) slog.Attr) func([]string, slog.Attr) slog.Attr {
	return func(groups []string, a slog.Attr) slog.Attr {
		if next != nil {
			a = next(groups, a)
		}
		if len(groups) > 0 || a.Key != slog.LevelKey {
			return a
		}
		if l, ok := a.Value.Any().(slog.Level); ok {
			a.Value = slog.StringValue((hclog.Level(l/hclogStep) + hclog.Info).String())
		}
		return a
	}
}

// addHCLogArgs adds the key-value pairs of an hclog call to r. A value without a
// key is kept, under the key that hclog gives it.
func addHCLogArgs(r *slog.Record, args []any) {
	if n := len(args); n%2 != 0 {
		last, key := args[n-1], hclog.MissingKey
		if _, ok := last.(hclog.CapturedStacktrace); ok {
			key = hclogStacktraceKey
		}
		args = append(slices.Clip(args[:n-1]), key, last)
	}
	for i := 0; i < len(args); i += 2 {
		r.AddAttrs(hclogAttr(args[i], args[i+1]))
	}
}

func hclogAttr(key, value any) slog.Attr {
	k, ok := key.(string)
	if !ok {
		k = fmt.Sprint(key)
	}
	return slog.Any(k, hclogValue(value))
}

// hclogValue returns what the types by which hclog's callers choose a notation
// stand for.
func hclogValue(value any) any {
	switch v := value.(type) {
	case hclog.Format:
		return hclogFormat(v)
	case hclog.Hex:
		return fmt.Sprintf("%#x", int(v))
	case hclog.Octal:
		return fmt.Sprintf("%#o", int(v))
	case hclog.Binary:
		return fmt.Sprintf("%#b", int(v))
	case hclog.Quote:
		return string(v)
	case hclog.CapturedStacktrace:
		return string(v)
	default:
		return value
	}
}

// hclogFormat formats what hclog.Fmt made.
func hclogFormat(f hclog.Format) any {
	if len(f) == 0 {
		return ""
	}
	format, ok := f[0].(string)
	if !ok {
		return fmt.Sprint(f...)
	}
	return fmt.Sprintf(format, f[1:]...)
}

var _ hclog.SinkAdapter = (*HCLogSink)(nil)
