package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// System returns the directories in which journald keeps the machine's journal, of
// the given namespace if it is not empty: the lasting one and the one that is
// gone after a reboot. They need not exist.
func System(namespace string) ([]string, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return nil, fmt.Errorf("find the journal's directory: %w", err)
	}
	name := strings.TrimSpace(string(id))
	if namespace != "" {
		name += "." + namespace
	}
	return []string{filepath.Join("/var/log/journal", name), filepath.Join("/run/log/journal", name)}, nil
}

// Below returns dir and the directories in it: where journal files are if dir is
// the parent of a machine's directory.
func Below(dir string) []string {
	dirs := []string{dir}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	return dirs
}

// restless is the age below which a directory's time of change does not tell that
// nothing more happened since: more than a tick of the kernel's clock.
const restless = 100 * time.Millisecond

// listing notices changes in a directory.
type listing struct {
	dir     string
	changed time.Time
}

// names returns the journal files in the directory, or nil if nothing has changed
// since the last call.
func (l *listing) names() ([]string, error) {
	fi, err := os.Stat(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list journal files: %w", err)
	}
	if fi.ModTime().Equal(l.changed) {
		return nil, nil
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("list journal files: %w", err)
	}
	if time.Since(fi.ModTime()).Abs() > restless {
		l.changed = fi.ModTime()
	}
	var names []string
	for _, e := range entries {
		// journald renames a file that it finds damaged to "*.journal~".
		if strings.HasSuffix(strings.TrimSuffix(e.Name(), "~"), ".journal") {
			names = append(names, filepath.Join(l.dir, e.Name()))
		}
	}
	return names, nil
}
