package drivertest

import (
	"testing"
)

// Run checks the rules against a driver's binary, see Check, each in a subtest
// that is named like the rule.
func Run(t *testing.T, binary string, opts Options) {
	t.Helper()
	c, err := newChecker(t.Context(), binary, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, p := range c.plan() {
		name := Result{Rule: p.rule, Set: p.set.Name}
		t.Run(name.Name(), func(t *testing.T) {
			r := c.run(t.Context(), p)
			if c.opts.Report != nil {
				c.opts.Report(r)
			}
			switch r.Status {
			case Fail:
				t.Error(r.String())
			case Skip:
				t.Skip(r.Reason)
			}
		})
	}
}
