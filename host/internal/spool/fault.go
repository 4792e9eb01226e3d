package spool

import (
	"fmt"
	"runtime/debug"
)

// Guard calls f and returns an error where mapped memory cannot be read or
// written, which would otherwise end the process: a disk that fails, or a file
// that somebody has cut off.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			err = fmt.Errorf("spool memory at %#x cannot be used: %v; does the disk fail, or was the file changed?", r.Addr(), r)
		default:
			panic(r)
		}
	}()
	return f()
}
