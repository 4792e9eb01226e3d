package wire

import (
	"sync"

	"google.golang.org/grpc/mem"
)

// bufferSizes are the capacities of pooled buffers: small messages, the spool's
// blocks, gRPC's frames, a full request, a message of the largest size.
var bufferSizes = [...]int{256, 1 << 10, 4 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 320 << 10, 2 << 20}

// bufferPool is a mem.BufferPool that does not clear its buffers, as gRPC's own
// pool does: everything here is written before it is read.
type bufferPool struct {
	pools [len(bufferSizes)]sync.Pool
}

var buffers bufferPool

// Buffers returns the pool of the process. What it returns is not cleared.
func Buffers() mem.BufferPool { return &buffers }

// Get implements mem.BufferPool.
func (p *bufferPool) Get(n int) *[]byte {
	for i, size := range bufferSizes {
		if n > size {
			continue
		}
		if b, ok := p.pools[i].Get().(*[]byte); ok {
			*b = (*b)[:n]
			return b
		}
		b := make([]byte, n, size)
		return &b
	}
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool.
func (p *bufferPool) Put(b *[]byte) {
	for i, size := range bufferSizes {
		if cap(*b) == size {
			p.pools[i].Put(b)
			return
		}
	}
}
