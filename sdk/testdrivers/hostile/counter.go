package main

import "sync/atomic"

// counter hands out numbers from 1.
type counter struct{ n atomic.Uint64 }

func (c *counter) next() uint64 { return c.n.Add(1) }
