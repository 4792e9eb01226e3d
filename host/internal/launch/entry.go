package launch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// entry is one structured line of a driver's log.
type entry struct {
	level   hclog.Level
	message string
	pairs   []any
}

const (
	maxEntryPairs = 64      // further pairs of a line are left out
	maxPairBytes  = 8 << 10 // longer values are cut
)

// parseEntry reads a line that hclog or slog wrote in JSON. It reports false for
// everything else, which then counts as text.
func parseEntry(line []byte) (entry, bool) {
	if line[0] != '{' {
		return entry{}, false
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var fields map[string]any
	if dec.Decode(&fields) != nil || dec.More() {
		return entry{}, false
	}
	e, ok := entryOf(fields, "@level", "@message", "@timestamp")
	if !ok {
		e, ok = entryOf(fields, slogLevel, "msg", "time")
	}
	return e, ok
}

const slogLevel = "level"

// entryOf takes level and message from fields under the given keys; the rest,
// apart from the time, which the host's log states itself, becomes pairs.
func entryOf(fields map[string]any, levelKey, messageKey, timeKey string) (entry, bool) {
	level, ok1 := fields[levelKey].(string)
	message, ok2 := fields[messageKey].(string)
	if !ok1 || !ok2 {
		return entry{}, false
	}
	e := entry{level: levelOf(level), message: clean([]byte(message))}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if k == levelKey || k == messageKey || k == timeKey {
			continue
		}
		if len(e.pairs) == 2*maxEntryPairs {
			e.pairs = append(e.pairs, "further_pairs", "left out")
			break
		}
		e.pairs = append(e.pairs, clean([]byte(strings.TrimPrefix(k, "@"))), valueText(fields[k]))
	}
	return e, true
}

// levelOf takes the names of hclog and of slog, such as "DEBUG-4" and "ERROR+2".
func levelOf(name string) hclog.Level {
	base, _, offset := strings.Cut(name, "-")
	base, _, _ = strings.Cut(base, "+")
	l := hclog.LevelFromString(base)
	switch {
	case l == hclog.Debug && offset:
		return hclog.Trace
	case l == hclog.NoLevel || l == hclog.Off:
		return hclog.Info
	}
	return l
}

func valueText(v any) string {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	case nil, bool:
		text = fmt.Sprint(v)
	default:
		b, _ := json.Marshal(v) // it was decoded from JSON
		text = string(b)
	}
	if len(text) > maxPairBytes {
		text = text[:maxPairBytes] + " ..."
	}
	return text
}

// text is the entry as an error shows it.
func (e entry) text() string {
	if len(e.pairs) == 0 {
		return e.message
	}
	var b strings.Builder
	b.WriteString(e.message)
	for i := 0; i+1 < len(e.pairs); i += 2 {
		fmt.Fprintf(&b, " %s=%s", e.pairs[i], clean([]byte(e.pairs[i+1].(string))))
		if b.Len() > tailLineBytes {
			break
		}
	}
	return b.String()
}
