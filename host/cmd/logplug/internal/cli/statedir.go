package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/logplug/logplug/shared/wire"
)

// findStateDir returns the state directory as an absolute path: that of the flag,
// of the environment, or the default of the XDG base directory specification.
func (a *app) findStateDir() (string, error) {
	dir := a.stateDir
	if dir == "" {
		dir = os.Getenv(wire.EnvStateDir)
	}
	if dir == "" {
		var err error
		if dir, err = defaultStateDir(); err != nil {
			return "", err
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("state directory %s: %w", dir, err)
	}
	return abs, nil
}

func defaultStateDir() (string, error) {
	// The specification says that a relative path is to be ignored.
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "logplug"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the state directory: %w; name one with --state-dir", err)
	}
	return filepath.Join(home, ".local", "state", "logplug"), nil
}
