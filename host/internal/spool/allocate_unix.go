//go:build unix && !linux

package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

func allocate(*os.File, int64, int64) error { return unix.EOPNOTSUPP }
