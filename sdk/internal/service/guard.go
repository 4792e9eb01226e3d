package service

import (
	"fmt"
	"runtime/debug"

	"github.com/logplug/logplug/shared/wire"
)

// guard calls code of the driver. A panic there becomes an error that wraps
// wire.ErrPanic, and its stack is logged: the process and the driver's other
// loggers live on.
func (s *Service) guard(what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.panicked(what, r)
		}
	}()
	return f()
}

// panicked must be called by the deferred function that recovered r.
func (s *Service) panicked(what string, r any) error {
	s.log.Error("driver code panicked", "in", what, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	return fmt.Errorf("%w in %s: %v; the stack is in the log", wire.ErrPanic, what, r)
}
