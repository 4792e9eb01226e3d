package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/logplug/logplug/shared/wire"
)

// systemPluginDirs are searched after the directory beside logplug.
var systemPluginDirs = []string{"/usr/local/lib/logplug/drivers", "/usr/lib/logplug/drivers"}

// findPluginDirs returns the directories of drivers as absolute paths: those of the
// flag, or of the environment, or those of the default that exist.
func (a *app) findPluginDirs() ([]string, error) {
	dirs := a.pluginDirs
	if len(dirs) == 0 {
		for _, d := range filepath.SplitList(os.Getenv(wire.EnvPluginDir)) {
			if d != "" {
				dirs = append(dirs, d)
			}
		}
	}
	if len(dirs) == 0 {
		return defaultPluginDirs()
	}
	return absolute(dirs)
}

func defaultPluginDirs() (dirs []string, err error) {
	exe, err := os.Executable()
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err != nil {
		return nil, fmt.Errorf("find the directory of drivers beside logplug: %w; name one with --plugin-dir", err)
	}
	candidates := append([]string{filepath.Join(filepath.Dir(exe), "drivers")}, systemPluginDirs...)
	for _, d := range candidates {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			dirs = append(dirs, d)
		}
	}
	if len(dirs) == 0 {
		return candidates[:1], nil // so that errors name a place where drivers could be
	}
	return dirs, nil
}

func absolute(dirs []string) ([]string, error) {
	abs := make([]string, len(dirs))
	for i, d := range dirs {
		var err error
		if abs[i], err = filepath.Abs(d); err != nil {
			return nil, fmt.Errorf("plugin directory %s: %w", d, err)
		}
	}
	return abs, nil
}
