package wire

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// frame is the encoded body of one gRPC message in pooled buffers. To send, it
// is filled with append and handed to gRPC, which returns the buffers. Received,
// it lends its bytes out until Free.
type frame struct {
	parts mem.BufferSlice // filled, in front of buf
	at    []site          // of those parts that are in a write memory
	size  int             // of parts
	buf   *[]byte         // being filled
	in    mem.Buffer      // received
}

// ensure makes room for n more bytes, so that the buffer stays a pooled one.
func (f *frame) ensure(n int) {
	pool := &buffers
	if f.buf == nil {
		f.buf = pool.Get(n)
		*f.buf = (*f.buf)[:0]
		return
	}
	if cap(*f.buf)-len(*f.buf) >= n {
		return
	}
	bigger := pool.Get(max(len(*f.buf)+n, 2*cap(*f.buf)))
	*bigger = append((*bigger)[:0], *f.buf...)
	pool.Put(f.buf)
	f.buf = bigger
}

// Len returns the number of bytes filled in so far.
func (f *frame) Len() int {
	if f.buf == nil {
		return f.size
	}
	return f.size + len(*f.buf)
}

// attach adds b, which is the frame's from now on, without copying it.
func (f *frame) attach(b mem.Buffer) {
	f.seal()
	f.parts = append(f.parts, b)
	f.size += b.Len()
}

// site tells where a part is, which is a message by itself.
type site struct {
	part   int // its index
	block  *Block
	offset int // in the block
}

// seal makes what is being filled a part.
func (f *frame) seal() {
	if f.buf == nil || len(*f.buf) == 0 {
		return
	}
	f.size += len(*f.buf)
	f.parts = append(f.parts, mem.NewBuffer(f.buf, &buffers))
	f.buf = nil
}

// marshal gives what is filled away and leaves the frame empty.
func (f *frame) marshal() mem.BufferSlice {
	f.seal()
	parts := f.parts
	f.parts, f.at, f.size = nil, f.at[:0], 0
	return parts
}

// drain appends what is filled to dst and leaves the frame empty.
func (f *frame) drain(dst []byte) []byte {
	for _, b := range f.parts {
		dst = append(dst, b.ReadOnlyData()...)
	}
	f.parts.Free()
	f.parts, f.at, f.size = nil, f.at[:0], 0
	if f.buf != nil {
		dst = append(dst, *f.buf...)
		*f.buf = (*f.buf)[:0]
		if cap(*f.buf) > promptBytes {
			buffers.Put(f.buf)
			f.buf = nil
		}
	}
	return dst
}

func (f *frame) unmarshal(data mem.BufferSlice) error {
	f.Free()
	f.in = data.MaterializeToBuffer(&buffers)
	return nil
}

func (f *frame) bytes() []byte {
	if f.in == nil {
		return nil
	}
	return f.in.ReadOnlyData()
}

// Free returns the buffers of a frame. What was borrowed from it is invalid
// afterwards, unless it was retained.
func (f *frame) Free() {
	if f.in != nil {
		f.in.Free()
		f.in = nil
	}
	f.parts.Free()
	f.parts, f.at, f.size = nil, f.at[:0], 0
	if f.buf != nil {
		buffers.Put(f.buf)
		f.buf = nil
	}
}

// Retain keeps the received bytes alive until release is called, also when the
// frame receives the next message meanwhile.
func (f *frame) Retain() (release func()) {
	f.in.Ref()
	return f.in.Free
}

func appendTagVarint(dst []byte, tag byte, v uint64) []byte {
	return protowire.AppendVarint(append(dst, tag), v)
}
