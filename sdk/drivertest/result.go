package drivertest

import (
	"fmt"
	"strings"
	"time"
)

// Status is the outcome of checking a rule.
type Status string

// The outcomes.
const (
	Pass Status = "pass"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Result is the outcome of checking one rule.
type Result struct {
	Rule Rule
	// Set is the name of the option set that it was checked with; empty for
	// Options.Config alone.
	Set    string
	Status Status
	// Err says what was found, with Fail.
	Err error
	// Reason says why the rule was not checked, with Skip.
	Reason string
	// Log holds the last lines that the host and the driver logged, with Fail.
	Log      string
	Duration time.Duration
}

// Name is the rule's ID, with "@" and the name of the option set if there is one.
func (r *Result) Name() string {
	if r.Set == "" {
		return r.Rule.ID
	}
	return r.Rule.ID + "@" + r.Set
}

// String describes the result, for humans: one line, or several with Fail.
func (r *Result) String() string {
	switch r.Status {
	case Skip:
		return fmt.Sprintf("skip %s: %s", r.Name(), r.Reason)
	case Fail:
		var b strings.Builder
		fmt.Fprintf(&b, "fail %s\n  rule:  %s\n  found: %s", r.Name(), r.Rule.Text, indent(fmt.Sprint(r.Err)))
		if r.Log != "" {
			fmt.Fprintf(&b, "\n  log:   %s", indent(r.Log))
		}
		return b.String()
	default:
		return fmt.Sprintf("%s %s (%v)", r.Status, r.Name(), r.Duration.Round(time.Millisecond))
	}
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n         ")
}
