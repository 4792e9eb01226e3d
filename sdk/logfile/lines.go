package logfile

import "bytes"

// Lines is the Framing of records that end with "\n" and contain no other.
type Lines struct{}

var newline = []byte{'\n'}

// Next implements Framing.
func (Lines) Next(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }

// Last implements Framing.
func (Lines) Last(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	if i := bytes.LastIndexByte(b[:len(b)-1], '\n'); i >= 0 {
		return i + 1
	}
	return -1
}

// Resync implements Framing.
func (Lines) Resync(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return -1
}

// Blank implements Framing.
func (Lines) Blank(frame []byte) bool { return len(frame) == 1 && frame[0] == '\n' }

// Separator implements Framing.
func (Lines) Separator() []byte { return newline }
