package logdriver

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinel errors. They keep their identity across the process boundary: test
// for them with errors.Is.
var (
	// ErrReadLogsNotSupported is what reading from a driver without
	// Capability.ReadLogs ends with.
	ErrReadLogsNotSupported = errors.New("configured logging driver does not support reading")
	// ErrClosed is returned by a logger that was closed.
	ErrClosed = errors.New("logger is closed")
	// ErrNoLog is what reading a log ends with that nobody has written.
	ErrNoLog = errors.New("no such log")
	// ErrLogBusy is returned by Open where another process writes the same log.
	ErrLogBusy = errors.New("log is in use by another process")
	// ErrGap ends a reading that cannot go on without leaving messages out,
	// because they were removed (rotated away) before they were read.
	ErrGap = errors.New("messages were removed before they could be read")
	// ErrMessageTooLarge is returned for a message that exceeds a limit.
	ErrMessageTooLarge = errors.New("message is too large")
	// ErrSpoolFull is returned by a host's Log when the spool had no room
	// within the time that the logger may wait.
	ErrSpoolFull = errors.New("spool is full")
)

func tooLarge(what string, got, limit int) error {
	return fmt.Errorf("%w: %s is %d, limit %d", ErrMessageTooLarge, what, got, limit)
}

// OptionError reports an option that a driver does not accept. It never
// contains the value of a secret option.
type OptionError struct {
	// Driver is the name of the driver.
	Driver string
	// Option is the name as the user gave it; empty if the trouble is not with
	// a single option.
	Option string
	// Reason says what is wrong and what would be right.
	Reason string
	// Nearest is the known option that resembles Option most, for an unknown
	// one; empty if none does.
	Nearest string
	// Known lists the driver's options, for an unknown one.
	Known []string
}

func (e *OptionError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "driver %s: ", e.Driver)
	if e.Option == "" {
		fmt.Fprintf(&b, "options: %s", e.Reason)
	} else {
		fmt.Fprintf(&b, "option %q: %s", e.Option, e.Reason)
	}
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %q?", e.Nearest)
	}
	if len(e.Known) > 0 {
		fmt.Fprintf(&b, " (options are: %s)", strings.Join(e.Known, ", "))
	}
	return b.String()
}

// Permanent marks err as one that trying again cannot mend: the message that
// it was returned for is counted as failed and set aside.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent tells whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// BatchError is returned by LogBatch when a part of the batch is settled.
type BatchError struct {
	// Done is the number of messages from the front of the batch that are
	// settled: held by the sink, or listed in Rejected. The rest is offered
	// again.
	Done int
	// Rejected maps indices below Done to the reason why the sink will never
	// hold that message.
	Rejected map[int]error
	// Err is why the rest could not be stored; nil if Done is the whole batch.
	Err error
}

func (e *BatchError) Error() string {
	switch {
	case e.Err == nil:
		return fmt.Sprintf("%d messages rejected", len(e.Rejected))
	case len(e.Rejected) > 0:
		return fmt.Sprintf("%d messages stored or rejected, then: %v", e.Done, e.Err)
	default:
		return fmt.Sprintf("%d messages stored, then: %v", e.Done, e.Err)
	}
}

func (e *BatchError) Unwrap() error { return e.Err }

// UndeliveredError is returned by a host's Close when the driver did not
// acknowledge everything in time.
type UndeliveredError struct {
	// Logger names the logger.
	Logger string
	// Messages and Bytes count what was accepted and not acknowledged.
	Messages, Bytes uint64
	// Spooled is the directory that keeps them for the next host; empty
	// if they are lost.
	Spooled string
	// Err is what stood in the way.
	Err error
}

func (e *UndeliveredError) Error() string {
	fate := "they are lost: give a longer close timeout, or a spool directory to keep them"
	if e.Spooled != "" {
		fate = "they are kept in " + e.Spooled
	}
	return fmt.Sprintf("logger %s: %d messages (%d bytes) not delivered before the close deadline: %v; %s",
		e.Logger, e.Messages, e.Bytes, e.Err, fate)
}

func (e *UndeliveredError) Unwrap() error { return e.Err }
