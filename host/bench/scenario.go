package main

import (
	"context"
	"fmt"
	"slices"
)

// The contenders.
const (
	ours    = "logplug"
	spooled = "logplug, spool directory"
	fifo    = "Docker FIFO"
	raw     = "raw socket"
	jsonLog = "Docker json-file"
	local   = "Docker local"
	socket  = "prototype: socket beside gRPC"
	bare    = "gRPC alone"
	shared  = "prototype: end of the log in shared memory"
)

// The metrics.
const (
	rate      = "messages/s"
	cpu       = "CPU ns/message"
	bandwidth = "MB/s"
)

// lastRow is the highest row number.
const lastRow = 15

// scenario is what several contenders do, and what rows of the table it fills.
type scenario struct {
	name       string
	rows       []int
	maxRounds  int  // 0 for no limit of its own
	turns      int  // how often a contender is measured in a round; 0 for once
	files      bool // writes files, whose pages are to be at hand
	contenders []contender
	judge      func(*measured) []verdict
}

type contender struct {
	name string
	run  func(context.Context, *job) (sample, error)
}

func (s *scenario) wanted(rows map[int]bool) bool {
	return rows == nil || slices.ContainsFunc(s.rows, func(n int) bool { return rows[n] })
}

// verdict is one line of the table.
type verdict struct {
	row    int
	what   string
	ours   string
	peer   string
	ratio  float64 // ours by the peer's, or by the target where there is no peer
	target string
	goal   float64 // what ratio has to reach
	atMost bool    // ratio may be at most goal, rather than at least
	info   bool    // for information: has no target
	failed string  // why there is no result
}

func (v *verdict) met() bool {
	if v.atMost {
		return v.ratio <= v.goal
	}
	return v.ratio >= v.goal
}

// against compares a metric of two contenders.
func (m *measured) against(row int, what, metric, contender, peer string, goal float64, atMost bool) verdict {
	v := verdict{row: row, what: what, goal: goal, atMost: atMost, target: ratioTarget(goal, atMost)}
	a, okA := m.median(contender, metric)
	b, okB := m.median(peer, metric)
	if !okA || !okB {
		v.failed = m.failure(contender, peer)
		return v
	}
	v.ours, v.ratio = format(a, metric), a/b
	v.peer = fmt.Sprintf("%s: %s", peer, format(b, metric))
	return v
}

// informally is against without a target.
func (m *measured) informally(row int, what, metric, contender, peer string) verdict {
	v := m.against(row, what, metric, contender, peer, 0, false)
	v.info, v.target = true, "–"
	return v
}

// limit compares a metric with a number.
func (m *measured) limit(row int, what, metric, contender string, goal float64, atMost bool) verdict {
	sign := "≥"
	if atMost {
		sign = "≤"
	}
	v := verdict{row: row, what: what, goal: 1, atMost: atMost, target: sign + " " + format(goal, metric)}
	a, ok := m.median(contender, metric)
	if !ok {
		v.failed = m.failure(contender)
		return v
	}
	v.ours, v.peer = format(a, metric), "–"
	if v.ratio = a / goal; goal == 0 {
		v.ratio = a + 1
	}
	return v
}

func (m *measured) failure(contenders ...string) string {
	for _, c := range contenders {
		if err := m.errs[c]; err != nil {
			return c + ": " + err.Error()
		}
	}
	return "not measured"
}

func ratioTarget(goal float64, atMost bool) string {
	switch {
	case atMost && goal < 1:
		return fmt.Sprintf("≤ 1/%.0f", 1/goal)
	case atMost:
		return fmt.Sprintf("≤ %.4gx", goal)
	case goal < 1:
		return fmt.Sprintf("≥ 1/%.0f", 1/goal)
	}
	return fmt.Sprintf("≥ %.4gx", goal)
}

// format writes a value of a metric with its unit.
func format(v float64, metric string) string {
	switch metric {
	case rate, opens:
		return si(v) + "/s"
	case bandwidth:
		return fmt.Sprintf("%.0f MB/s", v)
	case perLogger:
		return fmt.Sprintf("%.1f KiB", v/1024)
	case allocations:
		return fmt.Sprintf("%.3g", v)
	case cpu, logTime:
		return fmt.Sprintf("%.0f ns", v)
	}
	return duration(v) // all others are times in nanoseconds
}

func si(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.0f k", v/1e3)
	}
	return fmt.Sprintf("%.0f ", v)
}

func duration(ns float64) string {
	switch {
	case ns >= 1e9:
		return fmt.Sprintf("%.2f s", ns/1e9)
	case ns >= 1e6:
		return fmt.Sprintf("%.2f ms", ns/1e6)
	case ns >= 1e3:
		return fmt.Sprintf("%.0f µs", ns/1e3)
	}
	return fmt.Sprintf("%.0f ns", ns)
}
