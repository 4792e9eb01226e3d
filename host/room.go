package host

import (
	"sync"
	"sync/atomic"
)

// room is what the spools of all loggers may hold together, and what they hold.
type room struct {
	maxBytes, maxMessages int64
	bytes, messages       atomic.Int64

	mu sync.Mutex
	ch chan struct{}
}

// claim is room that one logger has taken ahead, so that a busy one need not touch
// what all share for each of its messages. The logger's mutex guards it.
type claim struct{ messages, bytes int64 }

const (
	// maxClaimMessages is how many messages' room is taken ahead at most.
	maxClaimMessages = 128
	// maxClaimBytes is how much room is taken ahead at most.
	maxClaimBytes = 32 << 10
	// claimFraction is the part of what its queue holds that a logger takes ahead, so
	// that a quiet one takes nothing.
	claimFraction = 8
)

func (c *claim) add(o claim) {
	c.messages += o.messages
	c.bytes += o.bytes
}

func (c *claim) covers(size int) bool { return c.messages > 0 && c.bytes >= int64(size) }

// use is for one message, which c covers.
func (c *claim) use(size int) {
	c.messages--
	c.bytes -= int64(size)
}

// hasRoomFor tells whether l may take one more message as far as others are
// concerned.
func (l *logger) hasRoomFor(size int) bool { return l.claim.covers(size) || l.room.fits(size) }

// takeRoom takes the room of one message.
func (l *logger) takeRoom(size int) {
	if !l.claim.covers(size) {
		ahead := int64(0)
		if l.room.plenty() {
			ahead = min(int64(l.queue.Count()/claimFraction), maxClaimMessages, maxClaimBytes/int64(size))
		}
		n := claim{1 + ahead, (1 + ahead) * int64(size)}
		l.room.take(uint64(n.messages), int(n.bytes))
		l.claim.messages += n.messages
		l.claim.bytes += n.bytes
	}
	l.claim.use(size)
}

// freeRoom gives back the room of what has left l's queue, and what was taken ahead
// if nothing is left.
func (l *logger) freeRoom(messages int64, size int) {
	if l.queue.Count() == 0 {
		messages += l.claim.messages
		size += int(l.claim.bytes)
		l.claim = claim{}
	}
	l.room.free(messages, size)
}

// plenty tells whether so much is free that loggers may take room ahead.
func (r *room) plenty() bool {
	return r.bytes.Load() < r.maxBytes/2 && r.messages.Load() < r.maxMessages/2
}

// fits tells whether one more message has room. Loggers ask at the same time, so
// that each of them may exceed the bounds by one message.
func (r *room) fits(size int) bool {
	return r.bytes.Load()+int64(size) <= r.maxBytes && r.messages.Load() < r.maxMessages
}

// held returns what the spools hold, without what is taken ahead.
func (r *room) held(ahead claim) (messages, bytes int64) {
	return max(0, r.messages.Load()-ahead.messages), max(0, r.bytes.Load()-ahead.bytes)
}

func (r *room) take(messages uint64, size int) {
	r.messages.Add(int64(messages))
	r.bytes.Add(int64(size))
}

// free takes note that messages have left a spool, and wakes those who wait for
// that. The numbers are negative where the messages that tell of a drop are more
// than what was dropped.
func (r *room) free(messages int64, size int) {
	if messages == 0 && size == 0 {
		return
	}
	r.messages.Add(-messages)
	r.bytes.Add(int64(-size))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ch != nil {
		close(r.ch)
		r.ch = nil
	}
}

// wait returns a channel that is closed when something is freed.
func (r *room) wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ch == nil {
		r.ch = make(chan struct{})
	}
	return r.ch
}
