package launch

import (
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// output turns what a driver prints into lines of the host's log. stderr and
// stdout are sinks for the two kinds of output, whichever way they come.
type output struct {
	log    hclog.Logger
	flood  *flood
	stdout tail
	stderr tail
}

func newOutput(log hclog.Logger) *output {
	o := &output{log: log}
	o.flood = newFlood(func(n int) {
		log.Warn("driver prints too much, lines were left out", "suppressed", n)
	})
	return o
}

// stdoutLines returns a sink for text that has no meaning to the host.
func (o *output) stdoutLines() *splitter {
	return &splitter{emit: func(line []byte, cut int) {
		if len(line) == 0 {
			return
		}
		text := clean(line)
		o.stdout.add(text)
		if o.log.IsDebug() && o.flood.allow(len(line)) {
			o.log.Debug(text, withCut([]any{"stream", "stdout"}, cut)...)
		}
	}}
}

// stderrLines returns a sink for a driver's own log: lines of hclog or slog in
// JSON, or text.
func (o *output) stderrLines() *splitter {
	var text textLevel
	return &splitter{emit: func(line []byte, cut int) {
		if len(line) == 0 {
			return
		}
		e, ok := parseEntry(line)
		if ok {
			text.reset()
		} else {
			e = entry{message: clean(line)}
			e.level = text.of(e.message)
		}
		o.stderr.add(e.text())
		if e.level < o.log.GetLevel() || !o.flood.allow(len(line)) {
			return
		}
		o.log.Log(e.level, e.message, withCut(e.pairs, cut)...)
	}}
}

// close reports what was left out. No sink may be used afterwards.
func (o *output) close() { o.flood.close() }

func withCut(pairs []any, cut int) []any {
	if cut == 0 {
		return pairs
	}
	return append(pairs, "cut_bytes", strconv.Itoa(cut))
}

// textLevel finds the level of lines that are plain text. A stack trace stays an
// error to its end, which is the next structured line.
type textLevel struct{ panicked bool }

func (t *textLevel) reset() { t.panicked = false }

func (t *textLevel) of(line string) hclog.Level {
	if name, _, ok := strings.Cut(strings.TrimPrefix(line, "["), "]"); ok && line[0] == '[' {
		if l := hclog.LevelFromString(name); l != hclog.NoLevel {
			return l
		}
	}
	if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
		t.panicked = true
	}
	if t.panicked {
		return hclog.Error
	}
	return hclog.Info
}
