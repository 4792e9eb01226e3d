//go:build linux

package containerd

import (
	"fmt"
	"time"
)

// settleMin and settleMax bound the pause before the end of a job is noted again.
const (
	settleMin = 100 * time.Millisecond
	settleMax = 10 * time.Second
)

// settle notes the end of a job. While that fails, for a disk that is full, the job looks as
// if it ran for as long as this process lives, and nobody can claim its id: it is tried again
// in the background, until the process ends.
func settle(note func() error) error {
	err := note()
	if err == nil {
		return nil
	}
	go func() {
		for pause := settleMin; ; pause = min(2*pause, settleMax) {
			time.Sleep(pause)
			if note() == nil {
				return
			}
		}
	}()
	return fmt.Errorf("note the end of the job, which is tried again while this process runs: %w", err)
}
