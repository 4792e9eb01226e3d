//go:build linux

package main

import "time"

// plan says how long and how hard to storm.
type plan struct {
	seed   uint64
	storms int // lanes whose hosts are killed; one more has a host that lives on
	scale  int // size of the cast
	// A lane plays rounds; at the end of each everything is read back.
	rounds int           // how many; 0 means until time is up and the kills are done
	events int           // of a lane in a round; 0 means until roundTime is up
	time   time.Duration // of all rounds
	round  time.Duration // of one round
	// driverKills and hostKills are the least that a run by time has done. It takes
	// up to twice the time for that.
	driverKills, hostKills uint64

	flipEvery int // of so many kills of hosts, one is followed by damage to the spool

	life     time.Duration // mean of a host's life
	interval time.Duration // mean of the time between events in the lives of hosts that are killed
	gentle   time.Duration // the same with the host that lives on
}

// goesOn tells whether there is another round.
func (p *plan) goesOn(round int, f *figures) bool {
	if p.rounds > 0 {
		return round <= p.rounds
	}
	passed := time.Since(f.began)
	if passed < p.time {
		return true
	}
	return passed < 2*p.time && (f.get(driverKills) < p.driverKills || f.get(hostKills) < p.hostKills)
}
