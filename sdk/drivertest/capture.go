package drivertest

import (
	"bytes"
	"strings"
	"sync"
)

const (
	// maxCaptureBytes bounds what a capture keeps.
	maxCaptureBytes = 1 << 20
	// tailLines is how many lines a result shows.
	tailLines = 20
)

// capture keeps the last bytes that were written to it. It is safe for
// concurrent use.
type capture struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer. It never fails.
func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if over := c.buf.Len() + len(p) - maxCaptureBytes; over > 0 {
		// Half at a time, so that not every line moves all of them.
		c.buf.Next(min(c.buf.Len(), max(over, maxCaptureBytes/2)))
	}
	c.buf.Write(p[max(0, len(p)-maxCaptureBytes):])
	return len(p), nil
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// tail returns the last lines.
func (c *capture) tail() string {
	lines := strings.Split(strings.TrimRight(c.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
