// Package discover finds driver binaries in directories and says of everything
// else that it found why it is not one.
package discover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/logplug/logplug/shared/wire"
)

// Candidate is a file that was looked at, or a directory that was not.
type Candidate struct {
	// Name is the driver's name, from the name of the file; empty where that
	// gives none.
	Name string
	// Path is the absolute path of the file or directory.
	Path string
	// Skipped says why this is not used as a driver, and what to do about it; it
	// is empty for a driver that can be used.
	Skipped string
}

// found is a candidate with its file, once that is known.
type found struct {
	Candidate
	file fs.FileInfo
}

// Scan looks into each directory, not below, for files named
// logplug-driver-NAME, and returns what it found: directories in the order in
// which they are given, the files of each by name. Hidden files are left out.
//
// A usable candidate is an executable regular file, or a link to one that does
// not leave the directory. Nobody but root and the current user can change it or
// its directory, and its name is the only one of its kind. A directory or a
// file that is met twice counts once.
//
// A directory that does not exist or is not trusted is a Candidate
// itself, with a reason, and gives no others.
func Scan(dirs []string) []Candidate {
	var all []found
	var seen []fs.FileInfo
	for _, dir := range dirs {
		real, fi, err := resolveDir(dir)
		if err != nil {
			all = append(all, skippedDir(dir, err))
			continue
		}
		if isIn(seen, fi) {
			continue
		}
		seen = append(seen, fi)
		all = append(all, scanDir(dir, real, fi)...)
	}
	all = mergeSame(all)
	refuseClashes(all)
	candidates := make([]Candidate, len(all))
	for i := range all {
		candidates[i] = all[i].Candidate
	}
	return candidates
}

// Check tells why the file at path, which Scan has found usable before, is not any
// more: others can change it or its directory by now, or it is a link that leads out.
func Check(path string) error {
	dir, name := filepath.Split(path)
	real, fi, err := resolveDir(filepath.Clean(dir))
	if err == nil {
		err = trusted(fi)
	}
	if err != nil {
		return fmt.Errorf("directory not used: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(real, name)); err != nil {
		return reason(err)
	}
	_, err = checkFile(real, name)
	return err
}

// resolveDir returns the directory's path without links.
func resolveDir(dir string) (string, fs.FileInfo, error) {
	if dir == "" {
		return "", nil, errors.New("the name of the directory is empty")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, errors.New("no such directory")
	}
	if err != nil {
		return "", nil, reason(err)
	}
	fi, err := os.Stat(real)
	if err != nil {
		return "", nil, reason(err)
	}
	if !fi.IsDir() {
		return "", nil, errors.New("not a directory")
	}
	return real, fi, nil
}

func skippedDir(dir string, err error) found {
	path := dir
	if abs, aerr := filepath.Abs(dir); aerr == nil && dir != "" {
		path = abs
	}
	return found{Candidate: Candidate{Path: path, Skipped: err.Error()}}
}

func scanDir(dir, real string, fi fs.FileInfo) []found {
	if err := trusted(fi); err != nil {
		return []found{skippedDir(dir, fmt.Errorf("directory not used: %w", err))}
	}
	entries, err := os.ReadDir(real) // sorted by name
	if err != nil {
		return []found{skippedDir(dir, fmt.Errorf("directory not used: %w", reason(err)))}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = real
	}
	var all []found
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		f := found{Candidate: Candidate{Path: filepath.Join(abs, e.Name())}}
		name, err := driverName(e.Name())
		if err == nil {
			f.Name = name
			f.file, err = checkFile(real, e.Name())
		}
		if err != nil {
			f.Skipped = err.Error()
		}
		all = append(all, f)
	}
	return all
}

// driverName takes the driver's name from the name of its file.
func driverName(file string) (string, error) {
	if runtime.GOOS == "windows" {
		file = strings.TrimSuffix(file, ".exe")
	}
	name, ok := strings.CutPrefix(file, wire.DriverPrefix)
	if !ok {
		return "", fmt.Errorf("not a driver: its name does not begin with %s", wire.DriverPrefix)
	}
	if !wire.ValidName(name) {
		return "", fmt.Errorf("%q is not a driver's name: it must be 1 to %d of the characters %s", name, wire.MaxNameBytes, wire.NamePattern)
	}
	return name, nil
}

// checkFile returns the file behind name in the directory real, if it can be
// used.
func checkFile(real, name string) (fs.FileInfo, error) {
	path, err := resolveFile(real, name)
	if err != nil {
		return nil, err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, reason(err)
	}
	if fi.IsDir() {
		return nil, errors.New("a directory: drivers lie directly in the plugin directory")
	}
	if !fi.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if err := trusted(fi); err != nil {
		return nil, err
	}
	return fi, executable(fi)
}

// resolveFile follows links as long as they stay in the directory, and checks
// directories on their way.
func resolveFile(real, name string) (string, error) {
	path, err := filepath.EvalSymlinks(filepath.Join(real, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("a link to a file that does not exist")
	}
	if err != nil {
		return "", fmt.Errorf("a link that cannot be followed: %w", reason(err))
	}
	rel, err := filepath.Rel(real, path)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("a link that leaves the directory, to %s: copy the file, or name its directory as a plugin directory", path)
	}
	for dir := filepath.Dir(path); len(dir) > len(real); dir = filepath.Dir(dir) {
		fi, err := os.Lstat(dir)
		if err == nil {
			err = trusted(fi)
		}
		if err != nil {
			return "", fmt.Errorf("a link to a file below %s: %w", dir, reason(err))
		}
	}
	return path, nil
}

// reason takes the path out of an error, as the candidate names it already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func isIn(files []fs.FileInfo, fi fs.FileInfo) bool {
	for _, f := range files {
		if os.SameFile(f, fi) {
			return true
		}
	}
	return false
}
