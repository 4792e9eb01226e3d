//go:build !linux

package wire

import (
	"errors"
	"os"
)

var errNoWriteMemory = errors.New("memory is shared on Linux only")

// NewWriteMemory fails: memory is shared on Linux only.
func NewWriteMemory() (*WriteMemory, *os.File, error) { return nil, nil, errNoWriteMemory }

// MapWriteMemory fails: memory is shared on Linux only.
func MapWriteMemory(int) (*SharedView, error) { return nil, errNoWriteMemory }
