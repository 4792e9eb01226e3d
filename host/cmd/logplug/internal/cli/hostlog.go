package cli

import (
	"bytes"
	"strings"
	"sync"
)

// maxHeldBytes bounds what is held back of the host's log.
const maxHeldBytes = 64 << 10

// hostLog takes the log lines of the host and of drivers to stderr. It holds them
// back while a driver is being opened: if that fails, the error says it all.
type hostLog struct {
	notices *notices

	mu       sync.Mutex
	released bool
	held     bytes.Buffer
}

// Write implements io.Writer. Each call is one record of hclog.
func (l *hostLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.released:
		l.print(string(p))
	case l.held.Len()+len(p) < maxHeldBytes:
		l.held.Write(p)
		l.held.WriteByte(0)
	}
	return len(p), nil
}

// release shows what was held back, and from now on everything at once.
func (l *hostLog) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released = true
	for record := range strings.SplitSeq(l.held.String(), "\x00") {
		if record != "" {
			l.print(record)
		}
	}
	l.held.Reset()
}

// levels are the beginnings of hclog's lines, without times, and ours.
var levels = [...]struct{ hclog, ours string }{{"[WARN]  ", "warning: "}, {"[ERROR] ", "error: "}}

func (l *hostLog) print(record string) {
	for _, level := range levels {
		if rest, ok := strings.CutPrefix(record, level.hclog); ok {
			record = level.ours + rest
			break
		}
	}
	l.notices.line(oneLine(record))
}
