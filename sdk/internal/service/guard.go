package service

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

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
	return panicError(what, r)
}

func panicError(what string, r any) error {
	return fmt.Errorf("%w in %s: %v; the stack is in the log", wire.ErrPanic, what, r)
}

// panicSite returns where the code panicked that the caller, a deferred function,
// recovers from.
func panicSite() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for panicking := false; ; {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime || !more {
			return f.File + ":" + strconv.Itoa(f.Line)
		}
		panicking = panicking || inRuntime
	}
}
