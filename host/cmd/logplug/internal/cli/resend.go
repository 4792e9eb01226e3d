package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/host/cmd/logplug/internal/letters"
	"github.com/logplug/logplug/shared/logdriver"
)

// resender sends dead letters again, those of one log after the other.
type resender struct {
	*app
	store *jobs.Store
	taken *letters.Taken
	opts  *lettersOptions

	sent, left int // letters that were taken, and that stay
}

// origin is the log that a dead letter belongs to.
type origin struct{ driver, id, name string }

func originOf(d *host.DeadLetter) origin {
	return origin{d.Driver, d.Info.ContainerID, d.Info.Name()}
}

func (o origin) String() string {
	if o.id == "" {
		return o.name
	}
	return o.id
}

func (a *app) resend(file *letters.File, o *lettersOptions) error {
	store, err := a.store()
	if err != nil {
		return err
	}
	taken, err := a.take(file)
	if taken == nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	r := &resender{app: a, store: store, taken: taken, opts: o}
	r.run(ctx)
	if err := taken.Close(); err != nil {
		return fmt.Errorf("remove dead letters that were sent: %w; they may be sent twice", err)
	}
	a.notices.Printf("%d dead letters were taken, %d stay in %s", r.sent, r.left, file.Path())
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case r.left > 0:
		return exit(codeFailure)
	}
	return nil
}

func (r *resender) run(ctx context.Context) {
	var order []origin
	wanted := make(map[origin]int)
	for e := range r.taken.All() {
		switch {
		case e.Err != nil:
			r.notices.Printf("%v", e.Err)
		case r.opts.wants(&e.Letter):
			o := originOf(&e.Letter)
			if wanted[o] == 0 {
				order = append(order, o)
			}
			wanted[o]++
		}
	}
	for _, o := range order {
		sent, err := r.sendAll(ctx, o)
		r.sent += sent
		r.left += wanted[o] - sent
		if err != nil && ctx.Err() == nil {
			r.notices.Printf("dead letters of job %s: %v", o, err)
		}
	}
}

// sendAll sends the letters of one log, until one cannot be delivered.
func (r *resender) sendAll(ctx context.Context, o origin) (sent int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	job, err := r.find(o)
	if err != nil {
		return 0, err
	}
	if err := r.enter(job); err != nil {
		return 0, err
	}
	// What is rejected again is in the file already.
	h, stop, err := r.openHost(hclog.Off, host.Config{
		Timeouts: host.Timeouts{Log: r.opts.timeout, Close: r.opts.timeout},
	})
	if err != nil {
		return 0, err
	}
	defer stop()
	info := job.Info.Clone()
	l, err := h.Open(ctx, job.Driver, info)
	if err != nil {
		return 0, err
	}
	for e := range r.taken.All() {
		if e.Err != nil || originOf(&e.Letter) != o {
			continue
		}
		taken, serr := r.send(ctx, l, &e.Letter)
		if taken {
			r.taken.Done(e.Index)
			sent++
		}
		if serr != nil {
			err = serr
			break
		}
	}
	return sent, errors.Join(err, r.close(l, err != nil))
}

// close closes l, at once after something went wrong: what it holds stays in the
// file.
func (r *resender) close(l host.Logger, failed bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.timeout)
	defer cancel()
	if !failed {
		return l.Shutdown(ctx)
	}
	cancel()
	_ = l.Shutdown(ctx) // the first error says it
	return nil
}

// send sends one letter, and returns whether its driver has it. An error means that
// there is no use in sending more.
func (r *resender) send(ctx context.Context, l host.Logger, d *host.DeadLetter) (taken bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.opts.timeout,
		fmt.Errorf("the driver did not take it within %v; see --timeout", r.opts.timeout))
	defer cancel()
	before := l.Stats().Failed.Messages
	m := d.Message()
	if err := l.Log(m); err != nil {
		logdriver.PutMessage(m)
		return false, err
	}
	err = l.Flush(ctx)
	if st := l.Stats(); st.Failed.Messages > before {
		r.notices.Printf("driver %s does not take it: %s: %s", st.Driver, visible(string(d.Line), shownLine), st.LastFailure)
		return false, nil
	}
	return err == nil, err
}

// find returns the job that a log belongs to.
func (r *resender) find(o origin) (*jobs.Job, error) {
	ref := o.id
	if ref == "" {
		ref = o.name
	}
	job, err := r.store.Find(ref)
	switch {
	case err != nil:
		return nil, fmt.Errorf("driver and options are not known any more: %w", err)
	case job.ID != ref && job.Info.Name() != ref:
		return nil, &jobs.UnknownError{Ref: ref, Nearest: job.ID} // only the beginning is the same
	case job.Driver != o.driver:
		return nil, fmt.Errorf("they are of driver %s, and the job has driver %s now", o.driver, job.Driver)
	case job.Active():
		return nil, &jobs.RunningError{ID: job.ID, PID: job.HostPID}
	}
	return job, nil
}
