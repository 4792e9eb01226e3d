package cli

import (
	"errors"
	"fmt"
	"syscall"
)

// errPipeClosed tells that nobody reads the output any more, as with "| head":
// nothing to complain about.
var errPipeClosed = &exitError{code: 0}

// quietPipe turns an error of writing output into what logplug ends with.
func quietPipe(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE):
		return errPipeClosed
	default:
		return fmt.Errorf("write the output: %w", err)
	}
}
