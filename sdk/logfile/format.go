package logfile

import (
	"errors"

	"github.com/logplug/logplug/shared/logdriver"
)

// ErrNoMessage is what [Decoder.Decode] returns for a frame that is as it should
// be and is not a message: the decoder has taken from it what it needs.
var ErrNoMessage = errors.New("the frame is no message")

// Format says how messages become records of a file and how they are found
// there. Implementations are immutable and may be used by several goroutines.
type Format interface {
	Framing
	// NewEncoder returns an encoder for what follows in one file. It is used by one
	// goroutine at a time. There is a new one for each file, and after a write
	// that failed.
	NewEncoder() Encoder
	// NewDecoder returns a decoder for one reading from one log.
	NewDecoder() Decoder
}

// Contextual is a Format whose records depend on earlier ones of the same file.
type Contextual interface {
	Format
	// ContextBytes returns how many bytes before a record hold all that it
	// depends on, wherever in a file it is. A decoder is given the frames of these
	// bytes, the first of which may be cut, before the first one that is read.
	ContextBytes() int64
}

// Encoder turns messages into records.
type Encoder interface {
	// Append appends the record of m to dst and returns the result. It keeps
	// neither dst nor m. Records that are no messages may precede that of m.
	Append(dst []byte, m *logdriver.Message) []byte
}

// Decoder turns records into messages.
type Decoder interface {
	// Decode fills m, which is as NewMessage returns it, from one frame. It
	// keeps nothing of frame. ErrNoMessage, not wrapped, is for a record without
	// message; any other error tells what makes the frame no record. m is then
	// undefined.
	Decode(frame []byte, m *logdriver.Message) error
}

// Framing finds frames in the bytes of a file. A frame is the bytes of one
// record, or of damage that lies between records.
type Framing interface {
	// Next returns the length of the frame that b starts with, or 0 if b does
	// not hold all of it.
	Next(b []byte) int
	// Last returns the offset in b of the last frame, which ends where b ends,
	// or -1 if it starts before b.
	Last(b []byte) int
	// Resync returns the offset of the first byte of b at which a frame may
	// start, b being the rest of a frame that is too long; -1 if there is none.
	Resync(b []byte) int
	// Blank tells that a frame is mere separation, neither record nor damage.
	Blank(frame []byte) bool
	// Separator is what is written after an incomplete record so that the next
	// record can be found.
	Separator() []byte
}

// MaxFrameBytes is the most that a frame may hold: 16 MiB. Longer ones are
// damage and are skipped without being held in memory.
const MaxFrameBytes = 16 << 20
