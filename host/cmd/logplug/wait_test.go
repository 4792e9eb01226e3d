//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"time"
)

// poll waits until done says so.
func poll(done func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(waitLimit)
	defer limit.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit.C:
			return errors.New("waited for too long")
		}
	}
	return nil
}

func contains(path, text string) bool {
	b, err := os.ReadFile(path)
	return err == nil && bytes.Contains(b, []byte(text))
}
