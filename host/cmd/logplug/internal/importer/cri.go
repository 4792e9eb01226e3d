package importer

import (
	"bytes"
	"time"
)

// criDecoder decodes the records of the container runtime interface, a line each:
// the time (RFC 3339 with nanoseconds), the stream, tags of which the first is P for a
// part that is not the last one of its line or F, and the text; see "CRI logging" in
// the Kubernetes design proposals (kubelet-cri-logging).
type criDecoder struct{}

func (d *criDecoder) next(in *input, e *entry) error {
	for {
		line, err := in.next()
		if err != nil {
			return err
		}
		if decodeCRI(line, e) {
			in.taken(line)
			return nil
		}
		in.lose(int64(len(line)))
	}
}

func decodeCRI(line []byte, e *entry) bool {
	line = bytes.TrimSuffix(line, []byte("\n"))
	stamp, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return false
	}
	source, rest, ok := bytes.Cut(rest, []byte(" "))
	if !ok || (string(source) != "stdout" && string(source) != "stderr") {
		return false
	}
	tags, text, ok := bytes.Cut(rest, []byte(" "))
	if !ok && len(rest) != 1 { // an empty text, and an editor that cut the space off
		return false
	}
	first, _, _ := bytes.Cut(tags, []byte(":"))
	if string(first) != "P" && string(first) != "F" {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil || !inRange(at) {
		return false
	}
	*e = entry{line: text, source: string(source), time: at, more: string(first) == "P"}
	return true
}
