//go:build !unix

package spool

import (
	"errors"
	"os"
	"runtime"
)

var errUnsupported = errors.New("spool directories are not supported on " + runtime.GOOS)

func mapFile(string, int) (medium, error) { return nil, errUnsupported }

func lockFileAt(string) (*os.File, error) { return nil, errUnsupported }

func diskFull(error) bool { return false }
