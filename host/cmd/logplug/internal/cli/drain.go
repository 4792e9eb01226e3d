package cli

import (
	"context"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/child"
)

// drainTick is how often is looked for the end of the output.
const drainTick = 20 * time.Millisecond

// drain waits, after the command has exited, until its output has been read to the
// end. Two things bound that: a process that the command left behind
// and that holds the output open, and a driver that takes nothing. It
// returns how many bytes of the command itself are left unread.
func (r *runner) drain(copied <-chan struct{}) (unread uint64) {
	impatient := r.interrupts.stage(context.Background())
	wanted := r.outputEnd()
	began := time.Now()
	logged, progress := r.logged(), began
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		select {
		case <-copied:
			return 0
		case <-tick.C:
		}
		now := time.Now()
		if n := r.logged(); n != logged {
			logged, progress = n, now
		}
		left := r.left(wanted)
		switch {
		case left == 0 && (now.Sub(began) >= r.opts.wait || impatient.Err() != nil):
			r.notices.Printf("the command has exited, but a process that it started still holds its output open; it is not logged any more (see --output-wait)")
			return 0
		case left > 0 && now.Sub(progress) >= r.opts.closeTimeout:
			return left
		}
	}
}

// outputEnd returns, for each stream, at which byte the command's own output ends:
// what is in the pipe when it has exited is the last of it. Others may write there
// too, so the end is not before it.
func (r *runner) outputEnd() (wanted [2]uint64) {
	for {
		before := r.read()
		wanted = before
		wanted[0] += uint64(child.Pending(r.child.Stdout))
		wanted[1] += uint64(child.Pending(r.child.Stderr))
		if r.read() == before { // nothing was moved while we looked
			return wanted
		}
	}
}

// read returns how many bytes of each stream were read.
func (r *runner) read() (n [2]uint64) {
	for i, s := range r.copier.Stats() {
		n[i] = s.ReadBytes
	}
	return n
}

// left returns how many bytes are missing to wanted.
func (r *runner) left(wanted [2]uint64) (n uint64) {
	for i, have := range r.read() {
		if have < wanted[i] {
			n += wanted[i] - have
		}
	}
	return n
}

// logged returns how many messages the logger took.
func (r *runner) logged() (n uint64) {
	for _, s := range r.copier.Stats() {
		n += s.Messages
	}
	return n
}
