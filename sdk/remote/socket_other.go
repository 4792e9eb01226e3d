//go:build !linux

package remote

import (
	"errors"
	"net"
	"syscall"
)

// Other systems do not tell what the peer has confirmed: what the system took
// counts, unless the end of the connection is known.

func Unsent(net.Conn) (int, error) { return 0, nil }

func hungUp(net.Conn) error { return nil }

func pendingError(net.Conn) error { return nil }

func unanswered(net.Conn) bool { return false }

func isBusy(err error) bool { return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOBUFS) }
