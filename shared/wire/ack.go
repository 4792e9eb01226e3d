package wire

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	tagResponseAck   = 1<<3 | 2
	tagAckLogger     = 1 << 3
	tagAckSeq        = 2 << 3
	tagAckFailure    = 3<<3 | 2
	tagAckBlocked    = 4<<3 | 2
	tagFailureSeq    = 1 << 3
	tagFailureReason = 2<<3 | 2
)

// maxReasonBytes bounds texts in acknowledgements; longer ones are cut.
const maxReasonBytes = 1 << 10

// What one WriteResponse may hold: encoded it can be small, and decoded large.
const (
	// MaxAcks is the highest number of acknowledgements.
	MaxAcks = 64 << 10
	// MaxFailures is the highest number of failures in all of them together.
	MaxFailures = 64 << 10
)

// WriteResponse is logplug.v1.WriteResponse. Its slices are reused when it
// receives again.
type WriteResponse struct {
	Acks []Ack
}

// HasFailures tells whether any message has failed.
func (r *WriteResponse) HasFailures() bool {
	return slices.ContainsFunc(r.Acks, func(a Ack) bool { return len(a.Failures) > 0 })
}

// Ack settles messages of one logger and tells its state.
type Ack struct {
	Logger uint64
	// Seq: everything up to and including it is stored or failed.
	Seq uint64
	// Failures lists messages that the sink will never hold.
	Failures []Failure
	// Blocked says why the logger makes no progress; empty if it does.
	Blocked string
}

// Failure names a message that the sink will never hold.
type Failure struct {
	Seq    uint64
	Reason string
}

func (r *WriteResponse) marshal() mem.BufferSlice {
	size := 0
	for i := range r.Acks {
		n := r.Acks[i].size()
		size += 1 + varintSize(uint64(n)) + n
	}
	pool := Buffers()
	buf := pool.Get(size)
	b := (*buf)[:0]
	for i := range r.Acks {
		b = r.Acks[i].append(b)
	}
	*buf = b
	return mem.BufferSlice{mem.NewBuffer(buf, pool)}
}

func (a *Ack) size() int {
	n := 1 + varintSize(a.Logger) + 1 + varintSize(a.Seq)
	for i := range a.Failures {
		s := a.Failures[i].size()
		n += 1 + varintSize(uint64(s)) + s
	}
	return n + bytesFieldSize(len(validUTF8(a.Blocked, maxReasonBytes)))
}

func (a *Ack) append(b []byte) []byte {
	b = appendTagVarint(b, tagResponseAck, uint64(a.size()))
	b = appendTagVarint(b, tagAckLogger, a.Logger)
	b = appendTagVarint(b, tagAckSeq, a.Seq)
	for i := range a.Failures {
		f := &a.Failures[i]
		b = appendTagVarint(b, tagAckFailure, uint64(f.size()))
		b = appendTagVarint(b, tagFailureSeq, f.Seq)
		b = appendString(b, tagFailureReason, validUTF8(f.Reason, maxReasonBytes))
	}
	return appendString(b, tagAckBlocked, validUTF8(a.Blocked, maxReasonBytes))
}

func (f *Failure) size() int {
	return 1 + varintSize(f.Seq) + bytesFieldSize(len(validUTF8(f.Reason, maxReasonBytes)))
}

func (r *WriteResponse) unmarshal(data mem.BufferSlice) error {
	buf := data.MaterializeToBuffer(&buffers)
	defer buf.Free()
	r.Acks = r.Acks[:0]
	rest := buf.ReadOnlyData()
	for failures := 0; ; {
		elem, next, err := nextElement(rest, tagResponseAck)
		if err != nil {
			return malformed("write response", err)
		}
		if elem == nil {
			return nil
		}
		if len(r.Acks) == MaxAcks {
			return malformed("write response", fmt.Errorf("more than %d acknowledgements in one response", MaxAcks))
		}
		rest = next
		a, err := parseAck(elem, MaxFailures-failures)
		if err != nil {
			return err
		}
		failures += len(a.Failures)
		r.Acks = append(r.Acks, a)
	}
}

// parseAck decodes an acknowledgement with up to limit failures.
func parseAck(b []byte, limit int) (Ack, error) {
	var a Ack
	for len(b) > 0 {
		switch b[0] {
		case tagAckLogger, tagAckSeq:
			v, n := protowire.ConsumeVarint(b[1:])
			if n < 0 {
				return a, malformed("ack", protowire.ParseError(n))
			}
			if b[0] == tagAckLogger {
				a.Logger = v
			} else {
				a.Seq = v
			}
			b = b[1+n:]
		case tagAckFailure, tagAckBlocked:
			v, n := protowire.ConsumeBytes(b[1:])
			if n < 0 {
				return a, malformed("ack", protowire.ParseError(n))
			}
			if b[0] == tagAckBlocked {
				a.Blocked = cutText(v, maxReasonBytes)
			} else {
				if len(a.Failures) == limit {
					return a, malformed("ack", fmt.Errorf("more than %d failures in one response", MaxFailures))
				}
				f, err := parseFailure(v)
				if err != nil {
					return a, err
				}
				a.Failures = append(a.Failures, f)
			}
			b = b[1+n:]
		default:
			rest, err := skipField(b)
			if err != nil {
				return a, malformed("ack", err)
			}
			b = rest
		}
	}
	return a, nil
}

func parseFailure(b []byte) (Failure, error) {
	var f Failure
	for len(b) > 0 {
		switch b[0] {
		case tagFailureSeq:
			v, n := protowire.ConsumeVarint(b[1:])
			if n < 0 {
				return f, malformed("failure", protowire.ParseError(n))
			}
			f.Seq = v
			b = b[1+n:]
		case tagFailureReason:
			v, n := protowire.ConsumeBytes(b[1:])
			if n < 0 {
				return f, malformed("failure", protowire.ParseError(n))
			}
			f.Reason = cutText(v, maxReasonBytes)
			b = b[1+n:]
		default:
			rest, err := skipField(b)
			if err != nil {
				return f, malformed("failure", err)
			}
			b = rest
		}
	}
	return f, nil
}
