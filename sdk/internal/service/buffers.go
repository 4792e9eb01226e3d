package service

import (
	"sync/atomic"

	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/mem"
)

// maxRetainedBytes is how much may be kept of requests at once instead of copying batches out of
// them. A request may be far larger than the batch in it, or in one of few places that the
// host shares, and batches may wait for long: copies keep what waits as small as the
// windows promise.
const (
	maxRetainedBytes = 4 << 20
	// minRetainedBytes is what a small one counts, which may lie in memory of that size.
	minRetainedBytes = 16 << 10
)

// buffers keeps batches beyond the receiving of the next request.
type buffers struct {
	pool     mem.BufferPool
	retained *atomic.Int64 // bytes
}

func newBuffers() buffers { return buffers{wire.Buffers(), new(atomic.Int64)} }

// lend begins the keeping of batches that arrived in req. The caller ends it.
func (k buffers) lend(req *wire.WriteRequest) lending { return lending{buffers: k, req: req} }

// lending keeps batches of one request.
type lending struct {
	buffers
	req   *wire.WriteRequest
	lease *lease // nil while nothing is kept in the request
}

// keep makes b outlive the request. prompt tells that it will be stored right away.
func (k *lending) keep(b wire.Batch, prompt bool) chunk {
	if !prompt || !k.begin() {
		return k.copy(b)
	}
	k.lease.uses.Add(1)
	return chunk{batch: b, lease: k.lease}
}

// begin makes the request stay where it is, unless too many do.
func (k *lending) begin() bool {
	switch {
	case k.lease != nil:
		return true
	case k.retained.Load() >= maxRetainedBytes:
		return false
	}
	size := int64(max(k.req.Received(), minRetainedBytes))
	k.retained.Add(size)
	k.lease = &lease{release: k.req.Retain(), size: size, retained: k.retained}
	k.lease.uses.Store(1) // until end
	return true
}

// end tells that nothing more of the request is kept.
func (k *lending) end() {
	if k.lease != nil {
		k.lease.end()
	}
}

// lease counts who uses a request.
type lease struct {
	uses     atomic.Int32
	release  func()
	size     int64
	retained *atomic.Int64
}

func (l *lease) end() {
	if l.uses.Add(-1) == 0 {
		l.release()
		l.retained.Add(-l.size)
	}
}

// chunk is a batch, or what is left of it, with the memory that it lies in.
type chunk struct {
	batch wire.Batch
	lease *lease  // of the request, if it lies there
	buf   *[]byte // a copy
	pool  mem.BufferPool
}

func (k buffers) copy(b wire.Batch) chunk {
	buf := k.pool.Get(b.BodySize())
	return chunk{batch: b.CopyTo(*buf), buf: buf, pool: k.pool}
}

// detach copies c out of its request: it is going to wait.
func (k buffers) detach(c *chunk) {
	if c.lease == nil {
		return
	}
	copied := k.copy(c.batch)
	c.free()
	*c = copied
}

// free gives the memory back.
func (c *chunk) free() {
	if c.lease != nil {
		c.lease.end()
	}
	if c.buf != nil {
		c.pool.Put(c.buf)
	}
	*c = chunk{}
}
