// Package terminaltest gives tests a terminal.
package terminaltest

import (
	"fmt"
	"os"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"golang.org/x/sys/unix"
)

// Open returns both ends of a new terminal, which the test's end closes: the one that
// a user types at, and the one that programs get. Where there are none the test is
// skipped, or fails, as receiver.Missing says.
func Open(t testing.TB) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		receiver.Missing(t, fmt.Sprintf("there are no terminals here: %v", err))
	}
	t.Cleanup(func() { user.Close() })
	fd := int(user.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlocking terminal %s: %v", user.Name(), err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("asking %s for the number of its terminal: %v", user.Name(), err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}
