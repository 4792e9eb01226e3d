package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/child"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/shared/logdriver"
)

// runner runs one command.
type runner struct {
	*app
	opts       runOptions
	interrupts *interrupts
	store      *jobs.Store
	claim      *jobs.Claim
	stats      func() host.Stats // of the host
	logger     host.Logger
	uncached   bool // the user knows that the driver of the cache is not installed
	child      *child.Child
	copier     *host.Copier
}

func (a *app) run(o runOptions, command []string) error {
	if err := o.check(); err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	job, env, err := o.job(store, command)
	if err != nil {
		return err
	}
	path, err := child.Lookup(command[0])
	if err != nil {
		return err
	}
	terminal := child.OpenTerminal()
	defer terminal.Close()
	r := &runner{app: a, opts: o, interrupts: catchInterrupts(terminal), store: store}
	defer r.interrupts.stop()
	return r.run(job, child.Config{
		Path: path, Args: command, Env: slices.Concat(os.Environ(), env), Stdin: a.stdin, OwnGroup: terminal == nil,
	})
}

// run claims the id and gives it back if the command could not be started.
func (r *runner) run(job jobs.Job, cfg child.Config) error {
	var err error
	if r.claim, err = r.store.Claim(job); err != nil {
		return err
	}
	code, err := r.host(job, cfg)
	if err != nil {
		if aerr := r.claim.Abandon(); aerr != nil {
			r.notices.Printf("%v", aerr)
		}
		return err
	}
	return exit(code)
}

// host opens the log, runs the command, and returns its exit code. An error means
// that the command was not started.
func (r *runner) host(job jobs.Job, cfg child.Config) (code int, err error) {
	ctx := r.interrupts.stage(context.Background())
	hostConfig, err := r.opts.hostConfig(r.store)
	if err != nil {
		return 0, err
	}
	h, stop, err := r.openHost(hclog.Warn, hostConfig)
	if err != nil {
		return 0, err
	}
	defer stop()
	r.stats = h.Stats
	if r.logger, err = h.Open(ctx, job.Driver, job.Info); err != nil {
		return 0, interruption(ctx, err)
	}
	r.hostLog.release()
	r.uncached = r.misses(ctx, h, r.cache())
	if r.opts.id == "" && !r.opts.quiet {
		r.notices.Printf("job %s; read its log with: logplug logs %[1]s", job.ID)
	}
	if r.child, err = child.Start(cfg); err != nil {
		return 0, errors.Join(err, r.logger.Close())
	}
	defer r.child.Close()
	r.interrupts.started(r.child)
	if err := r.claim.Started(r.child.PID(), r.cache()); err != nil {
		r.notices.Printf("%v", err)
	}
	trouble := r.serve()
	return r.finish(trouble), nil
}

// interruption returns why ctx has ended if it was a signal, and else err.
func interruption(ctx context.Context, err error) error {
	var s *signalError
	if errors.As(context.Cause(ctx), &s) {
		return s
	}
	return err
}

// misses tells whether a driver that is to keep a cache is not installed. The host has
// warned of that.
func (r *runner) misses(ctx context.Context, h *host.Host, cache string) bool {
	if cache == "" || r.logger.Stats().Cache.Blocked == "" {
		return false
	}
	_, err := h.Describe(ctx, cache)
	var unknown *host.UnknownDriverError
	return errors.As(err, &unknown)
}

// serve copies the output until the command and those that share its output have
// ended, and closes the logger. It returns what went wrong.
func (r *runner) serve() (trouble []string) {
	r.copier = host.NewCopier(r.logger, &host.CopierOptions{OnError: r.copyFailed},
		host.Source{Name: "stdout", Reader: r.child.Stdout, Tee: r.teeTo(r.stdout)},
		host.Source{Name: "stderr", Reader: r.child.Stderr, Tee: r.teeTo(r.notices)})
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_ = r.copier.Run(ctx) // was told to copyFailed, and is counted
	}()
	defer r.watchBlocked()()

	<-r.child.Done()
	r.interrupts.childExited()
	unread := r.drain(copied)
	cancel(errors.New("the command has ended"))

	closing, stop := context.WithTimeout(r.interrupts.stage(context.Background()), r.opts.closeTimeout)
	defer stop()
	err := r.logger.Shutdown(closing)
	<-copied // at the latest, Log has returned because the logger is closed
	return r.troubles(err, unread)
}

// teeTo returns w if the output is to be passed on.
func (r *runner) teeTo(w io.Writer) io.Writer {
	if !r.opts.tee {
		return nil
	}
	return w
}

// copyFailed is told of the first of each kind of failure. Those at the end are left to
// troubles.
func (r *runner) copyFailed(err *host.CopyError) {
	switch {
	case err.Op == "tee" && errors.Is(err, syscall.EPIPE):
	case r.interrupts.ended():
	default:
		r.notices.Printf("%v", err)
	}
}

// troubles says what was not delivered.
func (r *runner) troubles(closed error, unread uint64) (all []string) {
	if lost := r.copier.Lost(); lost.Messages > 0 {
		all = append(all, fmt.Sprintf("the driver took nothing more: %v", lost))
	}
	if unread > 0 {
		all = append(all, fmt.Sprintf("%d bytes of the command's output were not read", unread))
	}
	st := r.logger.Stats()
	if st.Failed.Messages > 0 {
		all = append(all, fmt.Sprintf("driver %s rejected %d messages, the last one because: %s", st.Driver, st.Failed.Messages, st.LastFailure))
	}
	if closed != nil {
		all = append(all, closed.Error())
	}
	var u *logdriver.UndeliveredError
	if errors.As(closed, &u) && u.Spooled != "" {
		all = append(all, "to deliver that, run any command with the directory: logplug run --spool-dir "+u.Spooled+" true")
	}
	return all
}

// cache returns the driver of the logger's cache, if it has one.
func (r *runner) cache() string {
	if c := r.logger.Stats().Cache; c != nil {
		return c.Driver
	}
	return ""
}

// tellCache says what logplug logs will not find, which is no failure: the driver
// has it. It returns that, too.
func (r *runner) tellCache() (lacks string) {
	c := r.logger.Stats().Cache
	if c == nil {
		return ""
	}
	n := c.Dropped.Messages + c.Failed.Messages + c.Spooled.Messages
	if n == 0 {
		return ""
	}
	lacks = fmt.Sprintf("driver %s did not take %d messages", c.Driver, n)
	if why := cmp.Or(c.Blocked, c.LastFailure); why != "" {
		lacks += ": " + why
	}
	if !r.uncached || c.Acked.Messages > 0 {
		r.notices.Printf("the copy for logplug logs is not complete: %s", lacks)
	}
	return lacks
}

// tellDropped says what was dropped because the user chose that: no failure.
func (r *runner) tellDropped() {
	st := r.logger.Stats()
	if n := st.DroppedBy[host.DropNewest].Messages + st.DroppedBy[host.DropOldest].Messages; n > 0 {
		r.notices.Printf("%d messages were dropped because the driver was too slow (mode=non-blocking)", n)
	}
}

// tellSetAside says where messages are that the driver will never take.
func (r *runner) tellSetAside() {
	if n := r.logger.Stats().Failed.Messages; n > 0 {
		r.notices.Printf("%d messages were set aside; see them with: logplug dead-letters", n)
	}
}

// finish notes the end of the job and returns logplug's exit code.
func (r *runner) finish(trouble []string) int {
	r.tellDropped()
	for _, t := range trouble {
		r.notices.Printf("output was not delivered completely: %s", t)
	}
	r.tellSetAside()
	lacks := r.tellCache()
	code := r.child.Code()
	if code == 0 && len(trouble) > 0 {
		code = codeRunFailure
	}
	if err := r.claim.Finish(code, oneLine(strings.Join(trouble, "; ")), oneLine(lacks)); err != nil {
		r.notices.Printf("%v", err)
	}
	r.printStats()
	return code
}
