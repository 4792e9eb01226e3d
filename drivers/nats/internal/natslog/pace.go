package natslog

import "time"

// pace knows how long the server takes for a message and for an atomic batch: a
// single server with a file on disk takes tens of milliseconds for a batch of any
// size, in which it stores a hundred single messages; a cluster, or a server that
// is far away, hardly longer than for one message.
type pace struct {
	single, batch time.Duration // averages; 0: not known
}

// favours tells whether n messages are stored sooner as a batch.
func (p *pace) favours(n int) bool {
	if p.single == 0 || time.Duration(n)*p.single >= p.batch {
		return true
	}
	p.batch -= p.batch / 64 // it may have been a bad moment: try it again in the end
	return false
}

// took notes how long one took.
func took(average *time.Duration, since time.Time) {
	d := time.Since(since)
	if *average == 0 {
		*average = d
		return
	}
	*average += (d - *average) / 4
}
