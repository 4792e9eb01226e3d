package service

import (
	"sync/atomic"

	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/mem"
)

// maxRetained is how many receive buffers may be kept at once instead of
// copying batches out of them. A receive buffer may be far larger than the batch
// in it, and batches may wait for long: copies keep what waits as small as the
// windows promise.
const maxRetained = 16

// buffers keeps batches beyond the receiving of the next request.
type buffers struct {
	pool     mem.BufferPool
	retained *atomic.Int32
}

func newBuffers() buffers { return buffers{wire.Buffers(), new(atomic.Int32)} }

// keep makes b, which arrived in req, outlive req. prompt tells that it will be
// stored right away.
func (k buffers) keep(req *wire.WriteRequest, b wire.Batch, prompt bool) chunk {
	if prompt && 2*b.BodySize() >= req.Received() && k.retained.Load() < maxRetained {
		k.retained.Add(1)
		return chunk{batch: b, release: req.Retain(), retained: k.retained}
	}
	buf := k.pool.Get(b.BodySize())
	return chunk{batch: b.CopyTo(*buf), buf: buf, pool: k.pool}
}

// chunk is a batch, or what is left of it, with the memory that it lies in.
type chunk struct {
	batch wire.Batch

	release  func() // of a receive buffer
	retained *atomic.Int32
	buf      *[]byte // a copy
	pool     mem.BufferPool
}

// free gives the memory back.
func (c *chunk) free() {
	if c.release != nil {
		c.release()
		c.retained.Add(-1)
	}
	if c.buf != nil {
		c.pool.Put(c.buf)
	}
	*c = chunk{}
}
