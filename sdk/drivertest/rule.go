package drivertest

import (
	"context"
	"errors"
	"slices"
)

// Rule is one thing that is demanded of a driver.
type Rule struct {
	// ID names the rule: a group, a slash, and a name in the group.
	ID string
	// Text says what is demanded. Failures quote it.
	Text string
	// Needs says which drivers the rule is for; others skip it.
	Needs Need
	// EachSet tells that the rule is checked with each of Options.Sets too.
	EachSet bool

	check func(ctx context.Context, e *env) error
}

// Need is a set of conditions under which a rule applies.
type Need uint

// The conditions. All that a rule names must hold.
const (
	// NeedReads: the driver's Capability says ReadLogs.
	NeedReads Need = 1 << iota
	// NeedSocket: the system tells who is at the other end of a unix socket,
	// so that the kit can speak to the process without certificates.
	NeedSocket
)

// Rules returns all rules, in the order in which they are checked.
func Rules() []Rule {
	return slices.Concat(
		describeRules(), optionRules(), lineRules(), closeRules(), tailRules(), timeRules(), followRules(),
		readerRules(), loggerRules(), deliveryRules(), wireRules(), processRules(),
	)
}

// skipError is what a check returns that finds nothing to check in this driver.
type skipError struct{ reason string }

func (e *skipError) Error() string { return "skipped: " + e.reason }

func skip(reason string) error { return &skipError{reason} }

// skipReason returns why a check was skipped, if it was.
func skipReason(err error) (string, bool) {
	var s *skipError
	if errors.As(err, &s) {
		return s.reason, true
	}
	return "", false
}
