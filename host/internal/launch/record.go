package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const (
	recordFile    = "process"
	maxProcessDir = 10000 // directories of processes in one socket directory
)

// makeProcessDir creates a directory for one process inside dir. Its name is
// short, as it is a part of the path of a socket.
func makeProcessDir(dir string) (string, error) {
	for i := range maxProcessDir {
		path := filepath.Join(dir, strconv.Itoa(i))
		err := os.Mkdir(path, 0o700)
		if err == nil {
			return path, nil
		}
		if !os.IsExist(err) {
			return "", fmt.Errorf("create a directory for the driver's socket: %w", err)
		}
	}
	return "", fmt.Errorf("create a directory for the driver's socket: %s holds %d already", dir, maxProcessDir)
}

// socketPlace is the directory for the socket in that of a confined process.
const socketPlace = "s"

// makeSocketPlace returns the directory in which the process that dir, inside
// socketDir, belongs to creates its socket. A process that is confined gets one inside dir: what
// the host notes beside it must not be in its reach.
func makeSocketPlace(socketDir, dir string, s *Sandbox) (string, error) {
	if s.User == nil && !s.confines() {
		return dir, nil
	}
	place := filepath.Join(dir, socketPlace)
	err := os.Mkdir(place, 0o700)
	if u := s.User; u != nil && err == nil {
		err = os.Chown(place, int(u.UID), int(u.GID))
		for _, d := range []string{socketDir, dir} {
			if err == nil {
				err = os.Chmod(d, 0o711) // to be passed through, not listed
			}
		}
	}
	if err != nil {
		return "", fmt.Errorf("create a directory for the driver's socket: %w", err)
	}
	return place, nil
}

// writeRecord notes which process a directory belongs to, for the host that
// finds the directory after this one was killed.
func writeRecord(dir string, pid int) error {
	id, err := processIdentity(pid)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, recordFile), fmt.Appendf(nil, "%d %s\n", pid, id), 0o600)
}

// killRecorded kills the group of the process that dir belongs to, if it is
// still the same process. It reports the process's number if it did so.
func killRecorded(dir string) (int, bool) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return 0, false
	}
	var pid int
	var id string
	if _, err := fmt.Sscanf(string(text), "%d %s\n", &pid, &id); err != nil || pid <= 1 {
		return 0, false
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return 0, false
	}
	defer func() { _ = p.Release() }()
	if now, err := processIdentity(pid); err != nil || now != id {
		return 0, false
	}
	killGroup(p)
	return pid, true
}
