package main

import (
	"time"

	"github.com/logplug/logplug/host/bench/internal/latency"
)

// source is the source of all messages.
const source = "stdout"

const (
	lineBytes = 100
	template  = `time=2026-01-02T15:04:05Z level=info id=00000000 msg="request served" path=/api/v1/items status=200`
	idAt      = 40
	idDigits  = 8
)

// epoch is the time of the first message. Times are counted up, not taken from
// the clock: it is the path that is measured.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// lines makes lines of a log: 100 bytes with a number, or more with filling.
type lines struct {
	text []byte
	n    int
	step time.Duration
}

func newLines(size int, step time.Duration) *lines {
	l := &lines{text: make([]byte, size), step: step}
	n := copy(l.text, template)
	for i := n; i < size; i++ {
		l.text[i] = 'a' + byte(i%26)
	}
	return l
}

// next returns the next line, valid until the call after, and its time.
func (l *lines) next() ([]byte, time.Time) {
	l.n++
	for i := idAt + idDigits - 1; i >= idAt; i-- { // counts in decimal
		if l.text[i]++; l.text[i] <= '9' {
			break
		}
		l.text[i] = '0'
	}
	return l.text, epoch.Add(time.Duration(l.n) * l.step)
}

// stamp overwrites the front of a line with the time of sending; 0 means that
// its way is not to be measured.
func stamp(line []byte, measure bool) {
	var now int64
	if measure {
		now = time.Now().UnixNano()
	}
	for i := latency.StampDigits - 1; i >= 0; i, now = i-1, now>>4 {
		line[i] = "0123456789abcdef"[now&15]
	}
}
