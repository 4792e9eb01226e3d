package host

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// fullDisk tells the user, now and then, that the spool's directory has no room.
type fullDisk struct {
	log hclog.Logger

	mu     sync.Mutex
	cause  error // not told yet
	silent time.Time
}

// fullDiskPause is how often that is told.
const fullDiskPause = time.Minute

// note takes note of an error, for tell.
func (f *fullDisk) note(cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cause = cause
}

// tell logs what was noted. It is called without locks: a log may block.
func (f *fullDisk) tell() {
	f.mu.Lock()
	cause := f.cause
	f.cause = nil
	if cause != nil && time.Now().Before(f.silent) {
		cause = nil
	}
	if cause != nil {
		f.silent = time.Now().Add(fullDiskPause)
	}
	f.mu.Unlock()
	if cause != nil {
		f.log.Error("the spool directory cannot take messages; loggers wait or drop them", "error", cause)
	}
}
