package host

import "github.com/logplug/logplug/host/internal/spool"

// Positioner is a Logger that tells how far it got. All that Host.Open returns are.
//
// It is for callers that read from a place which outlives them, such as a file: they
// give Info.Stream, remember what they logged under which number, and after a
// crash go on behind the number that the new logger begins with. With a spool
// directory, or a driver that is a logdriver.Sequencer, nothing is logged twice then.
type Positioner interface {
	// Position returns the stream, and the number of the message in it that was
	// accepted last: numbers begin with 1 and have no gaps. A message that is
	// longer than BufSize has a number for each of its parts; one that tells of
	// drops has a number too.
	//
	// It counts for the logger, not for its cache: the last message before a host
	// was killed may not be there, see CacheConfig.
	//
	// A stream other than the one that Open was given is that of a logger that an
	// earlier host left in the spool's directory, or a new one: where another
	// logger is open with the given one, or messages of it are still in that directory,
	// under other options or of a logger that was closed without having delivered them.
	Position() (stream string, last uint64)
}

// Position implements Positioner.
func (l *logger) Position() (stream string, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream.String(), l.queue.Last()
}

// goOn makes a logger whose stream began in an earlier host number its messages from
// behind held on, which its driver holds of the stream: it skips what is numbered up to
// there. Where the caller gave the stream, the logger is new; where the spool did, a loss
// of power has taken the last messages there, and all that are left are held. A number
// that no stream gets to is a claim to ignore. It is called with l.mu.
func (l *logger) goOn(held uint64) {
	if !l.goesOn || l.queue.Last() > l.everSent || held <= l.everSent || held > spool.MaxSkip {
		return
	}
	l.settleHeld(l.queue.Last())
	l.queue.Skip(held)
	l.everSent = held
}

// unheldDistance is how many more messages of a stream a driver may hold, at most, than a
// spool whose last ones a loss of power has taken.
const unheldDistance = 1 << 32

// leaveHeld is for messages that are logged before the driver says what it holds of a
// stream that began in an earlier host: they get numbers that it does not hold. It is
// called with l.mu.
func (l *logger) leaveHeld() {
	if l.goesOn {
		l.queue.LeaveOut(unheldDistance)
		l.everSent = l.queue.Last()
	}
}
