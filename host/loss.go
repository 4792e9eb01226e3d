package host

import (
	"fmt"
	"sync/atomic"

	"github.com/logplug/logplug/shared/logdriver"
)

// Loss counts messages that a Logger did not take and that were given up.
type Loss struct {
	// Messages is the number of messages; a part of a long line counts as one.
	Messages uint64
	// Bytes is the sum of the lengths of their lines, without newlines.
	Bytes uint64
}

func (l Loss) String() string {
	return fmt.Sprintf("%d messages (%d bytes) lost", l.Messages, l.Bytes)
}

// tally counts messages as they happen. It may be read while it is written.
type tally struct {
	messages, bytes atomic.Uint64
}

func (t *tally) add(bytes int) {
	t.messages.Add(1)
	t.bytes.Add(uint64(bytes))
}

func (t *tally) loss() Loss {
	return Loss{Messages: t.messages.Load(), Bytes: t.bytes.Load()}
}

// logOrLose hands m to l. A message that l does not take goes to the pool and
// is counted in lost.
func logOrLose(l logdriver.Logger, m *logdriver.Message, lost *tally) error {
	n := len(m.Line) // m is not ours any more once Log succeeded
	if err := l.Log(m); err != nil {
		lost.add(n)
		logdriver.PutMessage(m)
		return err
	}
	return nil
}
