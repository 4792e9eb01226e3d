package host

import (
	"context"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// maxBacklogBytes is about how much the messages that wait in a watcher may
	// take. Its channel bounds their number alone.
	maxBacklogBytes = 8 << 20
	// maxHandedBytes is about how much a batch of messages may take.
	maxHandedBytes = maxBacklogBytes / 8
	// messageBytes is what a message takes besides its texts, about.
	messageBytes = 256
	// backlogPoll is how often a producer looks whether the consumer has taken
	// something, when that much waits: a channel does not tell.
	backlogPoll = 2 * time.Millisecond
)

// backlog knows the sizes of the messages that a watcher's only producer has sent
// and that may still wait there.
type backlog struct {
	sizes []int // the front was sent first
	bytes int
}

// makeRoom waits until m fits besides what waits in w, and counts it. It returns
// false when the consumer is gone or ctx has ended.
func (b *backlog) makeRoom(ctx context.Context, w *logdriver.LogWatcher, m *logdriver.Message) bool {
	size := memoryOf(m)
	if b.bytes+size > maxBacklogBytes || len(b.sizes) >= 2*cap(w.Msg) {
		b.trim(len(w.Msg))
	}
	if b.bytes+size > maxBacklogBytes && !b.await(ctx, w, size) {
		return false
	}
	b.sizes = append(b.sizes, size)
	b.bytes += size
	return true
}

func (b *backlog) await(ctx context.Context, w *logdriver.LogWatcher, size int) bool {
	tick := time.NewTicker(backlogPoll)
	defer tick.Stop()
	for b.bytes+size > maxBacklogBytes && len(b.sizes) > 0 {
		select {
		case <-tick.C:
			b.trim(len(w.Msg))
		case <-w.WatchClose():
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// trim forgets all messages but the last ones, that are waiting.
func (b *backlog) trim(waiting int) {
	gone := len(b.sizes) - waiting
	if gone <= 0 {
		return
	}
	for _, n := range b.sizes[:gone] {
		b.bytes -= n
	}
	b.sizes = b.sizes[:copy(b.sizes, b.sizes[gone:])]
}

// memoryOf returns about how many bytes m keeps.
func memoryOf(m *logdriver.Message) int {
	n := messageBytes + cap(m.Line) + len(m.Source) + len(m.Partial.ID)
	for i := range m.Attrs {
		n += len(m.Attrs[i].Key) + len(m.Attrs[i].Value)
	}
	return n
}
