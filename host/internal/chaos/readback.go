//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// readBack hands the lines of a logger's log to the oracle.
func readBack(ctx context.Context, h *host.Host, r *role, o *oracle) error {
	if r.driver == "sink" {
		return readSink(r.log, o)
	}
	parts := make(map[string]*parted)
	for m, err := range h.ReadLogs(ctx, r.driver, r.info(), logdriver.ReadConfig{Tail: -1}).All() {
		if err != nil {
			return err
		}
		if m.Err == nil {
			seeMessage(o, m, parts)
		}
		logdriver.PutMessage(m)
	}
	return nil
}

// parted is a long line as far as its parts were read.
type parted struct {
	text []byte
	last int // ordinal
}

// seeMessage puts parts together. A line whose host was killed between two parts
// was not accepted and stays incomplete.
func seeMessage(o *oracle, m *logdriver.Message, parts map[string]*parted) {
	text := bytes.TrimSuffix(m.Line, []byte("\n"))
	if id := m.Partial.ID; id != "" {
		p := parts[id]
		if p == nil {
			p = &parted{}
			parts[id] = p
		}
		if m.Partial.Ordinal <= p.last {
			o.problem("part %d of a line came again", m.Partial.Ordinal)
			return
		}
		if m.Partial.Ordinal != p.last+1 {
			p.text = p.text[:0] // one is missing; the oracle will miss the line
		}
		p.text, p.last = append(p.text, text...), m.Partial.Ordinal
		if !m.Partial.Last {
			return
		}
		delete(parts, id)
		text = p.text
	}
	l, rest, ok := findLine(text)
	if !ok || len(rest) > 0 {
		// The tail of a line of which parts are missing is no news.
		if m.Partial.ID == "" {
			o.problem("a record is not what was logged: %.100q", text)
		}
		return
	}
	o.see(l)
}

// readSink reads what the test driver wrote. Where it was killed while writing,
// torn lines stand before intact ones.
func readSink(path string, o *oracle) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the sink's file: %w", err)
	}
	for {
		l, rest, ok := findLine(data)
		if !ok {
			return nil
		}
		o.see(l)
		data = rest
	}
}
