//go:build !linux

package main

import (
	"errors"
	"net"
	"os"
)

// There is no journald but on Linux.

func sealedFile([]byte) (*os.File, error) { return nil, errors.ErrUnsupported }

func unsent(*net.UnixConn) (int, error) { return 0, errors.ErrUnsupported }
