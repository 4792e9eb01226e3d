//go:build !linux && !darwin

package launch

import "errors"

// processIdentity always fails: a process's start time cannot be told here.
func processIdentity(int) (string, error) {
	return "", errors.ErrUnsupported
}
