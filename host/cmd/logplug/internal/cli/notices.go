package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
)

// notices writes logplug's own lines to stderr, where other output may go too: a
// notice never begins in the middle of a line of that.
type notices struct {
	mu      sync.Mutex
	w       io.Writer
	midLine bool
}

// Printf writes one line that begins with logplug's name.
func (n *notices) Printf(format string, args ...any) {
	n.line(oneLine(fmt.Sprintf(format, args...)))
}

func (n *notices) line(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	start := ""
	if n.midLine {
		start = "\n"
	}
	// There is nobody left to tell where stderr cannot be written to.
	_, _ = io.WriteString(n.w, start+"logplug: "+text+"\n")
	n.midLine = false
}

// Write passes bytes through.
func (n *notices) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(p) > 0 {
		n.midLine = p[len(p)-1] != '\n'
	}
	return n.w.Write(p)
}

// oneLine makes text, which may come from a driver, fit for one line of a
// terminal.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i, l := range lines {
		lines[i] = printable(strings.TrimSpace(l))
	}
	return strings.Join(lines, " | ")
}

// printable replaces control characters, which could garble a terminal. A tab
// becomes a space.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
