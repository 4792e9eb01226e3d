//go:build !unix

package discover

import (
	"errors"
	"io/fs"
	"strings"
)

// trusted accepts everything: modes say nothing about access here.
func trusted(fs.FileInfo) error { return nil }

func executable(fi fs.FileInfo) error {
	if !strings.HasSuffix(fi.Name(), ".exe") {
		return errors.New("it is not executable: its name does not end with .exe")
	}
	return nil
}
