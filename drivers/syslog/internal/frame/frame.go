// Package frame formats messages for syslog: RFC 5424, RFC 3164 and the format of
// local daemons, with the framing of RFC 6587 for streams.
package frame

import (
	"strings"

	"github.com/logplug/logplug/shared/logdriver"
)

// Style is the format of a message.
type Style int

const (
	// Unix is what the C library writes to the local daemon: RFC 3164 without a
	// host name.
	Unix Style = iota
	// RFC3164 is section 4.1 of that RFC.
	RFC3164
	// RFC5424 is section 6 of that RFC, with times in seconds.
	RFC5424
	// RFC5424Micro is RFC5424 with times in microseconds, the most it allows.
	RFC5424Micro
)

// Structured tells that the style has structured data.
func (s Style) Structured() bool { return s >= RFC5424 }

// Framing says how a receiver tells messages apart.
type Framing int

const (
	// Datagram adds nothing.
	Datagram Framing = iota
	// OctetCounting is RFC 6587, section 3.4.1, and RFC 5425, section 4.3.
	OctetCounting
	// Newline is the non-transparent framing of RFC 6587, section 3.4.2. A newline
	// within a message becomes "#012", as receivers write it to their files.
	Newline
)

// The range of Config.MaxBytes: a header must leave room. RFC 5424, section 6.1:
// receivers should take 2048.
const (
	MinBytes = 1024
	MaxBytes = 16 << 20
)

// MaxTag is the most that Config.Tag may have.
const MaxTag = 256

// Config says what messages are to look like.
type Config struct {
	Style    Style
	Framing  Framing
	Facility int // 0 to 23
	Hostname string
	Tag      string // also APP-NAME
	PID      int
	SDID     string           // see ValidSDID
	Attrs    []logdriver.Attr // of all messages; needs a structured style
	MaxBytes int              // of one message, its framing not included
}

const (
	severityErr  = 3
	severityInfo = 6
)

// Lengths that RFC 5424, section 6, allows.
const (
	maxHostname  = 255
	maxAppName   = 48
	maxMsgID     = 32
	maxParamName = 32
	maxSDID      = 32
)

const nilValue = "-"

// ValidSDID tells whether s is an SD-ID of the form name@number, RFC 5424,
// section 6.3.2.
func ValidSDID(s string) bool {
	name, number, ok := strings.Cut(s, "@")
	return ok && name != "" && number != "" && len(s) <= maxSDID &&
		strings.Trim(number, "0123456789.") == "" && validName(name)
}

// validName tells whether s consists of what an SD-NAME may have, but for its
// length.
func validName(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return true
}

func nameByte(c byte) bool {
	return c > ' ' && c < 0x7f && c != '=' && c != ']' && c != '"'
}

// printable returns s with everything that is not printable ASCII replaced, at
// most so many bytes of it, and the nil value for nothing.
func printable(s string, most int) string {
	if s == "" {
		return nilValue
	}
	if len(s) <= most && isPrintable(s) {
		return s
	}
	b := []byte(s[:min(len(s), most)])
	for i, c := range b {
		if c <= ' ' || c >= 0x7f {
			b[i] = '_'
		}
	}
	return string(b)
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
