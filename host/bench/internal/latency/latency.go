// Package latency measures how long lines are on their way from one process to
// another: they begin with the time of sending.
package latency

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// StampDigits is the length of the time at the front of a line: hexadecimal digits
// of the nanoseconds since 1970. Zeros mean that a line is not measured.
const StampDigits = 16

// Append appends how long a line has been on its way, if it begins with the time of
// sending.
func Append(took []time.Duration, line []byte) []time.Duration {
	if len(line) < StampDigits {
		return took
	}
	sent, err := strconv.ParseInt(string(line[:StampDigits]), 16, 64)
	if err != nil || sent == 0 {
		return took
	}
	return append(took, time.Duration(time.Now().UnixNano()-sent))
}

// Write writes nanoseconds to a file, one a line. Without a name it does nothing.
func Write(file string, took []time.Duration) error {
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, d := range took {
		fmt.Fprintln(w, d.Nanoseconds()) // Flush returns the error
	}
	return errors.Join(w.Flush(), f.Close())
}
