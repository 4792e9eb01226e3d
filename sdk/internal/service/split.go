package service

import (
	"fmt"
	"strconv"

	"github.com/logplug/logplug/shared/logdriver"
)

// carriable calls emit with m, or with messages in its place where m exceeds
// what one message may carry: a log may hold what another program has written.
// n is different for every message of a reading.
func carriable(m *logdriver.Message, n uint64, emit func(*logdriver.Message) error) error {
	if err := m.CheckMeta(); err != nil {
		note := logdriver.Message{
			Timestamp: m.Timestamp,
			Err:       fmt.Errorf("the attributes of the next message are left out: %w", err),
		}
		if err := emit(&note); err != nil {
			return err
		}
		m.Source = m.Source[:min(len(m.Source), logdriver.MaxSourceBytes)]
		m.Partial.ID = m.Partial.ID[:min(len(m.Partial.ID), logdriver.MaxPartialIDBytes)]
		m.Attrs = m.Attrs[:0]
	}
	if len(m.Line) <= logdriver.MaxLineBytes {
		return emit(m)
	}
	return split(m, n, emit)
}

// split emits m in parts. Those of a line that is a part already keep its place in
// the whole.
func split(m *logdriver.Message, n uint64, emit func(*logdriver.Message) error) error {
	part := *m // shares the line
	whole := !m.Partial.IsPartial()
	if whole {
		part.Partial.ID = "long-" + strconv.FormatUint(n, 10)
	}
	rest := m.Line
	for ordinal := 1; len(rest) > 0; ordinal++ {
		size := min(len(rest), logdriver.MaxLineBytes)
		part.Line, rest = rest[:size], rest[size:]
		if whole {
			part.Partial.Ordinal = ordinal
		}
		last := len(rest) == 0
		part.Partial.Last = last && (whole || m.Partial.Last)
		part.Unterminated = last && m.Unterminated
		if err := emit(&part); err != nil {
			return err
		}
	}
	return nil
}
