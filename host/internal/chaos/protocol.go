//go:build linux

package main

// The conductor and its hosts talk in lines of JSON over the host's stdin and
// stdout. When stdin ends, the host ends.

// lifeConfig is what a host process gets in its environment.
type lifeConfig struct {
	Plugins string // directory of drivers
	Spool   string
	Sockets string
	Mark    string // NAME=value in the environment of every process of the lane
	Life    int    // counts the lane's host processes
}

// command is what the conductor asks of a host.
type command struct {
	Do    string
	Dir   string // of the round
	Round int
	Scale int
	Seed  uint64
	Rest  bool // settled, say what the host uses at rest
}

// What a command may ask for.
const (
	doRound  = "round"  // open the loggers and write
	doSettle = "settle" // stop writing, probe, close the loggers
	doQuit   = "quit"   // close the host
)

// report is what a host says.
type report struct {
	Say string
	// Damaged counts, by logger, the messages that were found damaged in the spool.
	Damaged map[string]uint64 `json:",omitempty"`
	// Dropped counts, by logger, messages that were dropped for other reasons.
	Dropped map[string]uint64 `json:",omitempty"`
	// Problems are broken promises.
	Problems []string `json:",omitempty"`
	Sample   *sample  `json:",omitempty"`
	// Settled: how long the slowest probe took, and what all loggers counted.
	ProbeMillis int64  `json:",omitempty"`
	Refused     uint64 `json:",omitempty"`
	Resent      uint64 `json:",omitempty"`
}

// What a report may say.
const (
	sayReady   = "ready"   // the host is there, and has taken up its spool
	sayWriting = "writing" // all loggers of the round are open
	saySample  = "sample"
	saySettled = "settled"
	sayBroken  = "broken" // Problems, outside of settling
)

// sample is what a host process uses.
type sample struct {
	AnonKiB    int64 // resident memory that is its own
	Goroutines int
	Files      int // open descriptors, sockets included
	Restarts   uint64
	Accepted   uint64 // by all loggers, since the host started
}
