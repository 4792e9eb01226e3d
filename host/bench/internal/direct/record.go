package direct

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

// records is the format of Docker's json-file driver, to read only: that of our
// driver cannot be imported.
type records struct{ logfile.Lines }

func (records) NewEncoder() logfile.Encoder { return nil }
func (records) NewDecoder() logfile.Decoder { return records{} }

// Decode implements logfile.Decoder.
func (records) Decode(frame []byte, m *logdriver.Message) error {
	line, rest, ok := bytes.Cut(bytes.TrimPrefix(frame, []byte(`{"log":"`)), []byte(`\n","stream":"`))
	stream, rest, ok2 := bytes.Cut(rest, []byte(`","time":"`))
	text, _, ok3 := bytes.Cut(rest, []byte(`"}`))
	if !ok || !ok2 || !ok3 || bytes.IndexByte(line, '\\') >= 0 {
		return decodeJSON(frame, m)
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	m.Line, m.Source, m.Timestamp = append(m.Line, line...), string(stream), at
	return err
}

// decodeJSON is for lines with characters that are escaped.
func decodeJSON(frame []byte, m *logdriver.Message) error {
	var r struct {
		Log    string
		Stream string
		Time   time.Time
	}
	if err := json.Unmarshal(frame, &r); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	m.Line, m.Source, m.Timestamp = append(m.Line, bytes.TrimSuffix([]byte(r.Log), []byte("\n"))...), r.Stream, r.Time
	return nil
}
