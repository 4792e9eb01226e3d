package journal

import (
	"bytes"
	"encoding/binary"
)

// Entry is one entry of the journal. It is valid while its Reader is open.
type Entry struct {
	// Seqnum counts the entries of the files that share SeqnumID.
	Seqnum   uint64
	SeqnumID ID
	// Realtime is when journald received the entry, in microseconds since 1970.
	Realtime uint64
	// Monotonic is the same by the clock of the boot Boot, in microseconds.
	Monotonic uint64
	Boot      ID

	hash  uint64 // of the fields, the same in all files
	file  *file
	off   uint64
	items int
}

func (f *file) itemLen() uint64 {
	if f.compact {
		return 4
	}
	return 16
}

func (f *file) entry(off uint64, e *Entry) error {
	_, size, err := f.object(off, objectEntry, entryHeaderLen)
	if err != nil {
		return err
	}
	h, err := f.at(off, entryHeaderLen)
	if err != nil {
		return err
	}
	items := (size - entryHeaderLen) / f.itemLen()
	if items > maxItems {
		return f.damaged(off, "an entry with too many fields")
	}
	*e = Entry{
		Seqnum: binary.LittleEndian.Uint64(h[16:]), SeqnumID: f.seqnumID,
		Realtime: binary.LittleEndian.Uint64(h[24:]), Monotonic: binary.LittleEndian.Uint64(h[32:]), Boot: ID(h[40:56]),
		hash: binary.LittleEndian.Uint64(h[56:]),
		file: f, off: off, items: int(items),
	}
	return nil
}

// maxItems is above what journald accepts in an entry.
const maxItems = 64 << 10

// Fields calls yield with the fields of the entry, until it returns false. name and
// value are valid within the call. An error is of type ErrDamaged; the fields
// that can be read are delivered nevertheless.
func (e *Entry) Fields(yield func(name, value []byte) bool) error {
	var first error
	width := e.file.itemLen()
	for i := range e.items {
		b, err := e.file.at(e.off+entryHeaderLen+uint64(i)*width, int(min(width, 8)))
		if err != nil {
			return err
		}
		var off uint64
		if e.file.compact {
			off = uint64(binary.LittleEndian.Uint32(b))
		} else {
			off = binary.LittleEndian.Uint64(b)
		}
		content, err := e.file.payload(off)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		if name, value, ok := bytes.Cut(content, []byte{'='}); ok && !yield(name, value) {
			break
		}
	}
	return first
}

// Before tells whether e comes before o, by the rules of systemd's own
// reader: by number where both count together, else by the clock of the boot,
// else by the time of day.
func (e *Entry) Before(o *Entry) bool {
	switch {
	case e.SeqnumID == o.SeqnumID && e.Seqnum != o.Seqnum:
		return e.Seqnum < o.Seqnum
	case e.Boot == o.Boot && e.Monotonic != o.Monotonic:
		return e.Monotonic < o.Monotonic
	}
	return e.Realtime < o.Realtime
}

// identity is what an entry has in common with its copies in other files: journald numbers
// those anew that it makes when it moves the journal from /run to the disk.
type identity struct {
	boot                      ID
	monotonic, realtime, hash uint64
}

func (e *Entry) identity() identity { return identity{e.Boot, e.Monotonic, e.Realtime, e.hash} }

// same tells that both are one entry, found in two files.
func (e *Entry) same(o *Entry) bool { return e.identity() == o.identity() }
