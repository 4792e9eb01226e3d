package launch

import (
	"fmt"
	"strings"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// NotDriverError reports a program that was executed and did not behave as a
// driver does: it ended, printed something else, or stayed silent.
type NotDriverError struct {
	// Name and Path are those of the Config.
	Name, Path string
	// Reason says what the program did instead.
	Reason string
	// Stdout and Stderr hold the last lines that it printed, shortened.
	Stdout, Stderr []string
	// Err is the cause, if there is one: an *ExitError, a context's error.
	Err error
}

func (e *NotDriverError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "driver %s (%s): %s; is it a logplug driver for this system?", e.Name, e.Path, e.Reason)
	writeLines(&b, "stdout", e.Stdout)
	writeLines(&b, "stderr", e.Stderr)
	return b.String()
}

func (e *NotDriverError) Unwrap() error { return e.Err }

// VersionError reports a driver with which the host has no version of the
// protocol in common.
type VersionError struct {
	// Driver is the driver's name.
	Driver string
	// DriverRange and HostRange are the versions that each side speaks.
	DriverRange, HostRange logdriver.VersionRange
	// Stderr holds the last lines that the driver printed there, shortened.
	Stderr []string
}

func (e *VersionError) Error() string {
	advice := "update the driver"
	if e.DriverRange.Min > e.HostRange.Max {
		advice = "update the host, or install an older version of the driver"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "driver %s speaks protocol %s, this host speaks %s: %s",
		e.Driver, rangeText(e.DriverRange), rangeText(e.HostRange), advice)
	writeLines(&b, "stderr", e.Stderr)
	return b.String()
}

// ExitError says how a driver's process ended.
type ExitError struct {
	// Name is the driver's name.
	Name string
	// PID was the process.
	PID int
	// Code is the exit status; -1 after a signal, or where it is unknown.
	Code int
	// Signal names the signal that ended the process; empty if none did.
	Signal string
	// Stopped tells that the host asked for the end.
	Stopped bool
	// Detached tells that the process was only attached to: it may still run.
	Detached bool
	// Limit says which limit of its sandbox the process has run into, as far as
	// that can be told; empty if none.
	Limit string
	// Stderr holds the last lines of the driver's stderr, shortened.
	Stderr []string
}

// Killed tells whether somebody other than the host seems to have ended the
// process, and not for exceeding a limit. A driver that is asked to end by a
// signal exits with status 0.
func (e *ExitError) Killed() bool {
	return !e.Stopped && e.Limit == "" && (e.Signal == "SIGKILL" || e.Signal == "SIGTERM" || e.Code == 0)
}

func (e *ExitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "driver %s (process %d) %s", e.Name, e.PID, e.fate())
	if e.Code != 0 {
		writeLines(&b, "stderr", e.Stderr)
	}
	return b.String()
}

func (e *ExitError) fate() string {
	if e.Limit != "" {
		return e.end() + ": " + e.Limit
	}
	return e.end()
}

func (e *ExitError) end() string {
	switch {
	case e.Detached && e.Stopped:
		return "was detached from"
	case e.Detached:
		return "is gone"
	case e.Signal != "" && e.Stopped:
		return "was stopped with signal " + e.Signal
	case e.Signal != "":
		return "was ended by signal " + e.Signal
	case e.Stopped:
		return fmt.Sprintf("was stopped and exited with status %d", e.Code)
	default:
		return fmt.Sprintf("exited with status %d", e.Code)
	}
}

// errorLines is how many lines of a driver's output an error's text shows.
const errorLines = 12

func writeLines(b *strings.Builder, stream string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "; last lines of %s:", stream)
	if n := len(lines) - errorLines; n > 0 {
		lines = lines[n:]
	}
	for _, l := range lines {
		b.WriteString("\n  ")
		b.WriteString(l)
	}
}

func rangeText(r logdriver.VersionRange) string {
	if r.Min == r.Max {
		return fmt.Sprintf("version %d", r.Min)
	}
	return fmt.Sprintf("versions %d to %d", r.Min, r.Max)
}

func hostRange() logdriver.VersionRange {
	return logdriver.VersionRange{Min: wire.MinProtocol, Max: wire.MaxProtocol}
}

func single(v int) logdriver.VersionRange { return logdriver.VersionRange{Min: v, Max: v} }
