package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/logplug/logplug/host/cmd/logplug/internal/child"
)

// Exit codes of logplug itself.
const (
	codeFailure = 1
	codeUsage   = 2
	// codeRunFailure is for failures of logplug run, so that they can be told from
	// those of the command.
	codeRunFailure = 125
)

// exitError ends logplug with a code, and without a message where Err is nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit returns what ends logplug with a code and no message; nil for 0.
func exit(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// usageError is a mistake in the arguments.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// signalError tells that a signal asked logplug to end.
type signalError struct{ signal os.Signal }

func (e *signalError) Error() string { return "interrupted: " + e.signal.String() }

// report prints err and returns the exit code that it stands for. run tells that
// the command was logplug run.
func (a *app) report(err error, run bool) int {
	var (
		quiet   *exitError
		usage   *usageError
		signal  *signalError
		command *child.StartError
	)
	if errors.As(err, &quiet) && quiet.err == nil {
		return quiet.code
	}
	code := codeFailure
	switch {
	case quiet != nil:
		code = quiet.code
	case errors.As(err, &signal):
		return child.SignalCode(signal.signal)
	case errors.As(err, &command):
		code = command.Code
	case run:
		code = codeRunFailure
	case errors.As(err, &usage):
		code = codeUsage
	}
	a.notices.Printf("%v", err)
	return code
}
