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

// fits tells whether one more message has room. Loggers ask at the same time, so
// that each of them may exceed the bounds by one message.
func (r *room) fits(size int) bool {
	return r.bytes.Load()+int64(size) <= r.maxBytes && r.messages.Load() < r.maxMessages
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
