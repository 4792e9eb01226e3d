package wire

import (
	"fmt"
	"iter"

	"github.com/logplug/logplug/shared/logdriver"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	tagWriteBatch    = 1<<3 | 2
	tagBatchLogger   = 1 << 3
	tagBatchFirstSeq = 2 << 3
)

// WriteRequest is logplug.v1.WriteRequest in encoded form. To send it: fill it
// with AppendBatch and its like, then SendMsg or SendNow, which empties it. To receive: RecvMsg, range
// over Batches.
type WriteRequest struct{ frame }

// batchBytes is about what a batch takes besides its entries.
const batchBytes = 32

// Reserve makes room for a batch with so many bytes of entries, so that its parts
// are not moved while it grows.
func (w *WriteRequest) Reserve(entries int) { w.ensure(entries + batchBytes) }

// AppendBatch adds consecutive messages of one logger; entries were encoded by
// AppendEntry. A fault in their memory leaves w as it was.
func (w *WriteRequest) AppendBatch(logger, firstSeq uint64, entries []byte) {
	head := w.batch(logger, firstSeq, len(entries), len(entries))
	*w.buf = append(head, entries...)
}

// AttachBatch is AppendBatch for entries that are not copied: they belong to w, which
// frees them when they have been sent.
func (w *WriteRequest) AttachBatch(logger, firstSeq uint64, entries mem.Buffer) {
	*w.buf = w.batch(logger, firstSeq, entries.Len(), 0)
	w.attach(entries)
}

// HeadRoom is how much room BatchHead needs.
const HeadRoom = 32

// BatchHead puts what comes before entries of so many bytes, for AttachMessage, at the end of
// room, and returns its size.
func BatchHead(room []byte, logger, firstSeq uint64, size int) int {
	var head [HeadRoom]byte
	b := appendBatchHead(head[:0], logger, firstSeq, size)
	return copy(room[len(room)-len(b):], b)
}

// AttachMessage is AttachBatch for entries behind their BatchHead, which may be in a block, at
// an offset. Where they are, they are sent from there.
func (w *WriteRequest) AttachMessage(message mem.Buffer, block *Block, offset int) {
	w.attach(message)
	if block != nil {
		w.at = append(w.at, site{len(w.parts) - 1, block, offset})
	}
}

// batch returns w's buffer with what comes before size bytes of entries, and with room
// for more.
func (w *WriteRequest) batch(logger, firstSeq uint64, size, room int) []byte {
	w.ensure(HeadRoom + room)
	return appendBatchHead(*w.buf, logger, firstSeq, size)
}

func appendBatchHead(b []byte, logger, firstSeq uint64, size int) []byte {
	inner := 2 + varintSize(logger) + varintSize(firstSeq) + size
	b = append(b, tagWriteBatch)
	b = protowire.AppendVarint(b, uint64(inner))
	b = appendTagVarint(b, tagBatchLogger, logger)
	return appendTagVarint(b, tagBatchFirstSeq, firstSeq)
}

// Batches iterates over the batches of a received request, until the first
// error. They borrow from the request.
func (w *WriteRequest) Batches() iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		rest := w.bytes()
		for {
			elem, r, err := nextElement(rest, tagWriteBatch)
			if err != nil {
				yield(Batch{}, malformed("write request", err))
				return
			}
			if elem == nil {
				return
			}
			rest = r
			b, err := parseBatch(elem)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// Batch holds consecutive messages of one logger, still encoded.
type Batch struct {
	// Logger is the number that the driver gave the logger.
	Logger uint64
	// FirstSeq is the sequence of the first entry.
	FirstSeq uint64
	// Count is the number of entries.
	Count int
	// Size is the number of encoded bytes of the entries, as EntrySize counts
	// them. They count against the logger's window.
	Size int

	body []byte
}

const (
	// fetchBytes is how much of a batch is fetched at once, cacheLine the unit of that.
	fetchBytes = 4 << 10
	cacheLine  = 64
)

// fetch brings the front of b, which another processor has just written, into this one's cache: all of it
// at the same time, while the entries are found one after the other. It returns the rest.
//
//go:noinline
func fetch(b []byte) (rest []byte, sum byte) {
	n := min(len(b), fetchBytes)
	for i := 0; i < n; i += cacheLine {
		sum += b[i]
	}
	return b[n:], sum
}

func parseBatch(b []byte) (Batch, error) {
	batch := Batch{body: b}
	for ahead := b; len(b) > 0; {
		if len(b) <= len(ahead) {
			ahead, _ = fetch(b)
		}
		switch b[0] {
		case tagBatchEntry:
			v, n := consumeBytes(b[1:])
			if n < 0 {
				return batch, malformed("batch", protowire.ParseError(n))
			}
			if len(v) > MaxEntryBytes {
				return batch, malformed("batch", fmt.Errorf("entry of %d bytes, limit %d", len(v), MaxEntryBytes))
			}
			batch.Count++
			batch.Size += 1 + n
			b = b[1+n:]
		case tagBatchLogger, tagBatchFirstSeq:
			v, n := protowire.ConsumeVarint(b[1:])
			if n < 0 {
				return batch, malformed("batch", protowire.ParseError(n))
			}
			if b[0] == tagBatchLogger {
				batch.Logger = v
			} else {
				batch.FirstSeq = v
			}
			b = b[1+n:]
		default:
			rest, err := skipField(b)
			if err != nil {
				return batch, malformed("batch", err)
			}
			b = rest
		}
	}
	if batch.Count > 0 && batch.FirstSeq == 0 {
		return batch, malformed("batch", fmt.Errorf("logger %d: sequences start at 1", batch.Logger))
	}
	return batch, nil
}

// Skip takes n entries off the front.
func (b *Batch) Skip(n int) {
	for range min(n, b.Count) {
		b.next()
	}
}

// Next decodes the first remaining entry into m, which must be empty, and takes
// it off. It returns false when there is none left. m.Line borrows the batch.
func (b *Batch) Next(d *Decoder, m *logdriver.Message) (bool, error) {
	if b.Count == 0 {
		return false, nil
	}
	seq := b.FirstSeq
	elem := b.next()
	m.Seq = seq
	return true, d.DecodeEntry(elem, m)
}

// next takes off an entry. parseBatch has validated the body; should its memory have changed since, the
// entry may be nil.
func (b *Batch) next() []byte {
	b.Count--
	b.FirstSeq++
	for len(b.body) > 0 {
		if b.body[0] != tagBatchEntry {
			b.body, _ = skipField(b.body)
			continue
		}
		elem, n := consumeBytes(b.body[1:])
		if n < 0 {
			break
		}
		b.body = b.body[1+n:]
		b.Size -= 1 + n
		return elem
	}
	return nil
}

// BodySize returns how many bytes CopyTo copies.
func (b *Batch) BodySize() int { return len(b.body) }

// CopyTo returns b with its entries copied to the front of dst, which has room
// for BodySize bytes, so that they outlive the request.
func (b Batch) CopyTo(dst []byte) Batch {
	b.body = dst[:copy(dst, b.body)]
	return b
}

// Received returns the size of the received request in bytes.
func (w *WriteRequest) Received() int { return len(w.bytes()) }
