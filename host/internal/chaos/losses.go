//go:build linux

package main

import (
	"maps"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// losses counts, by logger, the messages that a host finds damaged when it takes
// up its spool. The host logs them; its stats have them too, but not for long if
// nothing else is left of a logger.
type losses struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// Accept implements hclog.SinkAdapter.
func (l *losses) Accept(_ string, _ hclog.Level, _ string, args ...any) {
	var logger string
	var damaged uint64
	for i := 0; i+1 < len(args); i += 2 {
		switch args[i] {
		case "logger":
			logger, _ = args[i+1].(string)
		case "damaged":
			damaged, _ = args[i+1].(uint64)
		}
	}
	if damaged == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[logger] += damaged
}

func (l *losses) export() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}
