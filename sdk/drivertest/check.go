package drivertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// Check checks the rules against a driver's binary. One whose file name is not
// logplug-driver-NAME, as hosts want it, is checked under the name that it gives when
// it is run with the argument describe. Check returns one result for each rule and
// option set.
//
// The error is for what keeps it from checking at all: a file that a host
// refuses, a program that is no driver, or mistakes in opts. A broken rule is no
// error but a Result with Fail. When ctx ends, Check returns its cause with the
// results so far.
func Check(ctx context.Context, binary string, opts Options) ([]Result, error) {
	c, err := newChecker(ctx, binary, opts)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, p := range c.plan() {
		r := c.run(ctx, p)
		if ctx.Err() != nil {
			break // what it found is due to that
		}
		if c.opts.Report != nil {
			c.opts.Report(r)
		}
		results = append(results, r)
	}
	return results, errors.Join(context.Cause(ctx), c.close())
}

// checker checks one driver.
type checker struct {
	opts    Options
	binary  string
	name    string
	dir     string
	removed bool   // dir is the checker's own
	staged  string // the directory of the binary, if that is the checker's own
	desc    logdriver.Description
}

// newChecker finds out what the driver is.
func newChecker(ctx context.Context, binary string, opts Options) (*checker, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	binary, err = filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("check driver: %w", err)
	}
	c := &checker{opts: opts, binary: binary, dir: opts.Dir}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "drivertest-"); err != nil {
			return nil, fmt.Errorf("check driver %s: make a directory for log files: %w", binary, err)
		}
		c.removed = true
	}
	if name, ok := strings.CutPrefix(filepath.Base(binary), wire.DriverPrefix); ok && wire.ValidName(name) {
		c.name = name
	} else if err := c.stage(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("check driver %s: %w", binary, err), c.close())
	}
	if err := c.probe(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("check driver %s: %w", binary, err), c.close())
	}
	return c, nil
}

func (c *checker) close() (err error) {
	if c.removed {
		err = os.RemoveAll(c.dir)
	}
	if c.staged != "" {
		err = errors.Join(err, os.RemoveAll(c.staged))
	}
	if err != nil {
		return fmt.Errorf("check driver %s: remove its files: %w", c.binary, err)
	}
	return nil
}

// probe asks the driver what it is.
func (c *checker) probe(ctx context.Context) error {
	e, err := c.newEnv(OptionSet{})
	if err != nil {
		return err
	}
	c.desc, err = e.host.Describe(ctx, c.name)
	return errors.Join(err, e.close())
}

// planned is a rule to check with a set of options.
type planned struct {
	rule Rule
	set  OptionSet
}

// plan lists what to check: all rules without, then some with option sets.
func (c *checker) plan() (plan []planned) {
	for _, r := range Rules() {
		if c.opts.wants(r.ID) {
			plan = append(plan, planned{rule: r})
		}
	}
	for _, s := range c.opts.Sets {
		for _, r := range Rules() {
			if r.EachSet && c.opts.wants(r.ID) {
				plan = append(plan, planned{r, s})
			}
		}
	}
	return plan
}

// run checks one rule.
func (c *checker) run(ctx context.Context, p planned) Result {
	r := Result{Rule: p.rule, Set: p.set.Name}
	if reason, ok := c.inapplicable(p.rule); ok {
		r.Status, r.Reason = Skip, reason
		return r
	}
	began := time.Now()
	log, err := c.checkRule(ctx, p)
	r.Duration = time.Since(began)
	if reason, ok := skipReason(err); ok {
		r.Status, r.Reason = Skip, reason
		return r
	}
	r.Status, r.Err = Pass, err
	if err != nil {
		r.Status, r.Log = Fail, log
	}
	return r
}

func (c *checker) inapplicable(r Rule) (reason string, ok bool) {
	switch reason, ok := c.opts.skipped(r.ID); {
	case ok:
		return reason, true
	case r.Needs&NeedReads != 0 && !c.desc.Capability.ReadLogs:
		return "the driver does not read logs back", true
	case r.Needs&NeedSocket != 0 && !wire.PeerCredentialsSupported():
		return "this system does not name the peers of unix sockets", true
	}
	return "", false
}

// checkRule runs the check in an environment of its own. It returns the last
// lines of that one's log.
func (c *checker) checkRule(ctx context.Context, p planned) (log string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Timeout, fmt.Errorf("the rule was not checked within %v", c.opts.Timeout))
	defer cancel()
	e, err := c.newEnv(p.set)
	if err != nil {
		return "", err
	}
	err = p.rule.check(ctx, e)
	cerr := e.close()
	if err == nil {
		err = cerr
	}
	return e.log.tail(), err
}
