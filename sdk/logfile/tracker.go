package logfile

import (
	"fmt"

	"github.com/logplug/logplug/shared/logdriver"
)

// state is what becomes of the file that a reader follows.
type state int

const (
	growing state = iota // records may be added
	rotated              // there is a newer file
	ended                // nobody writes the log
)

// tracker tells a reader what the writer does.
type tracker interface {
	// snapshot opens the generations that there are, the oldest first.
	snapshot() ([]*generation, error)
	// state returns what becomes of g, and a channel that is ready when that, or
	// the size of g, may have changed since.
	state(g *generation) (state, <-chan struct{}, error)
	// limit says how far g may be read.
	limit(g *generation) func() int64
	// next opens the generation after g, which is rotated. It returns nil if that
	// cannot be told yet, and ErrGap if it was removed.
	next(g *generation) (*generation, error)
	// alive tells whether the log has a writer.
	alive() (bool, error)
	close()
}

func gapError(path string) error {
	return fmt.Errorf("follow %s: %w; keep more or larger files", path, logdriver.ErrGap)
}
