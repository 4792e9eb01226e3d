//go:build !linux

package launch

import (
	"crypto/sha256"
	"os"
	"path/filepath"
)

func copyImage(path string, src *os.File, scratch string, verify func([sha256.Size]byte) error) (*image, error) {
	return privateCopy(src, scratch, verify)
}

// copyPath keeps an ending by which some systems know programs.
func copyPath(dir string) string { return filepath.Join(dir, "program.exe") }
