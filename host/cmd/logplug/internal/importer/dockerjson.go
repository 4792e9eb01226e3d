package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// jsonDecoder decodes the records of Docker's json-file driver, a JSON object a line. A
// line of the container that is in several records has a newline in the last one. The
// fields raw and unterminated are logplug's own.
type jsonDecoder struct{ rec jsonRecord }

type jsonRecord struct {
	Log          *string           `json:"log"`
	Stream       string            `json:"stream"`
	Time         time.Time         `json:"time"`
	Attrs        map[string]string `json:"attrs"`
	Raw          []byte            `json:"raw"`
	Unterminated bool              `json:"unterminated"`
}

func (d *jsonDecoder) next(in *input, e *entry) error {
	for {
		line, err := in.next()
		var incomplete *incompleteError
		if errors.As(err, &incomplete) && d.decode(in.line, e) {
			// The object is whole, and only its newline missing.
			in.taken(in.line)
			return nil
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			in.taken(line)
			continue
		}
		if d.decode(line, e) {
			in.taken(line)
			return nil
		}
		in.lose(int64(len(line)))
	}
}

func (d *jsonDecoder) decode(line []byte, e *entry) bool {
	d.rec = jsonRecord{}
	if json.Unmarshal(line, &d.rec) != nil || d.rec.Log == nil || d.rec.Time.IsZero() || !inRange(d.rec.Time) {
		return false
	}
	text, whole := strings.CutSuffix(*d.rec.Log, "\n")
	*e = entry{line: []byte(text), source: d.rec.Stream, time: d.rec.Time, unterminated: d.rec.Unterminated}
	if d.rec.Raw != nil {
		e.line = bytes.TrimSuffix(d.rec.Raw, []byte("\n"))
	}
	e.more = !whole && !e.unterminated
	for k, v := range d.rec.Attrs {
		e.attrs = append(e.attrs, logdriver.Attr{Key: k, Value: v})
	}
	slices.SortFunc(e.attrs, func(a, b logdriver.Attr) int { return strings.Compare(a.Key, b.Key) })
	return true
}

// inRange tells whether a message can bear the time.
func inRange(t time.Time) bool {
	const first, last = 1678, 2261
	y := t.UTC().Year()
	return y >= first && y <= last
}
