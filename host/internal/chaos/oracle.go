//go:build linux

package main

import (
	"fmt"
)

// verdict is what the oracle found in one logger's log.
type verdict struct {
	Lines      uint64 // intact ones
	Accepted   uint64
	Missing    uint64
	Duplicates uint64 // copies that were sent again
	Unsure     uint64 // copies of lines that were accepted as a host was killed, which did not know of it
	problems   []string
}

// oracle reads the lines of one logger in the order of its log.
type oracle struct {
	role    *role
	lost    uint64 // messages that the host's counters name as lost
	writers map[int]*tracker
	verdict verdict
}

// tracker is how far one writer's lines have come.
type tracker struct {
	next     uint64 // the number of the line that has not been seen yet
	lastLife int    // the life of the line before it
	at       uint64 // the number seen last, which is lower while lines are repeated
	atLife   int
}

func newOracle(r *role, lost uint64) *oracle {
	o := &oracle{role: r, lost: lost, writers: make(map[int]*tracker)}
	for _, w := range r.writers() {
		o.writers[w] = &tracker{}
	}
	return o
}

// maxProblems is how many problems of one logger are told.
const maxProblems = 5

func (o *oracle) problem(format string, args ...any) {
	if len(o.verdict.problems) < maxProblems {
		o.verdict.problems = append(o.verdict.problems, "logger "+o.role.name+": "+fmt.Sprintf(format, args...))
	}
}

// see takes the next intact line of the log.
func (o *oracle) see(l line) {
	t, ok := o.writers[l.writer]
	if !ok {
		o.problem("has a line of writer %d, who writes to another", l.writer)
		return
	}
	o.verdict.Lines++
	switch {
	case l.number >= t.next:
		o.seeNew(t, l)
	case l.number == t.next-1 && l.life > t.lastLife:
		// Accepted by a host that was killed before the ledger was written.
		o.verdict.Unsure++
		t.lastLife = l.life
	default:
		o.seeAgain(t, l)
	}
	t.at, t.atLife = l.number, l.life
}

func (o *oracle) seeNew(t *tracker, l line) {
	if l.life < t.lastLife {
		o.problem("line %d of writer %d is of life %d, after one of life %d", l.number, l.writer, l.life, t.lastLife)
	}
	o.verdict.Missing += l.number - t.next
	t.next, t.lastLife = l.number+1, l.life
}

// seeAgain takes a copy. Copies come in the order of their originals, from some
// point on.
func (o *oracle) seeAgain(t *tracker, l line) {
	o.verdict.Duplicates++
	if o.role.exact {
		o.problem("line %d of writer %d, life %d, came again, after %d", l.number, l.writer, l.life, t.next-1)
	}
	// One that was damaged after it was delivered lacks in the copies only.
	if o.lost == 0 && l.number > t.at+1 {
		o.problem("copies of writer %d jump from line %d to %d", l.writer, t.at, l.number)
	}
}

// conclude compares with what the ledger says was accepted, and with what the
// host's counters say was lost.
func (o *oracle) conclude(led *ledger) verdict {
	v := &o.verdict
	for w, t := range o.writers {
		accepted := led.counter(w).Load()
		v.Accepted += accepted
		if t.next < accepted {
			v.Missing += accepted - t.next
		}
		if t.next > accepted+1 {
			o.problem("writer %d has %d lines in the log and %d in the ledger", w, t.next, accepted)
		}
	}
	if v.Missing > o.lost {
		v.problems = append(v.problems, fmt.Sprintf("logger %s: %d of %d accepted lines are missing, %d are in a counter",
			o.role.name, v.Missing, v.Accepted, o.lost))
	}
	return *v
}
