package importer

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// State is how far an import got. The driver has acknowledged everything up to it.
type State struct {
	// Version is that of the format.
	Version int `json:"version"`
	// Stream is the logger's, see logdriver.Info.
	Stream string `json:"stream"`
	Format Format `json:"format"`
	// Size is the length above which lines are split.
	Size int `json:"size"`

	// Last is the number of the last message, as the host counts.
	Last uint64 `json:"last"`
	// File is the file that was being read, none before the first, and Offset the place
	// in it, uncompressed.
	File   identity `json:"file"`
	Offset int64    `json:"offset"`
	// Lines are those of which parts were logged.
	Lines map[string]open `json:"lines,omitempty"`

	// Messages, Rejected and Damage count what all runs have seen. Rejected messages
	// exceed a limit.
	Messages uint64 `json:"messages"`
	Rejected uint64 `json:"rejected,omitempty"`
	Damage   Damage `json:"damage"`
}

const (
	stateVersion  = 1
	maxStateBytes = 1 << 20
)

// LoadState returns the state in a file, or a new one if there is none.
func LoadState(path string) (*State, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		var stream [16]byte
		rand.Read(stream[:]) // never fails
		return &State{Version: stateVersion, Stream: hex.EncodeToString(stream[:]), Lines: map[string]open{}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how far the import got: %w", err)
	}
	if info.Size() > maxStateBytes {
		return nil, fmt.Errorf("%s is too large for the state of an import", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read how far the import got: %w", err)
	}
	st := &State{Lines: map[string]open{}}
	if err := json.Unmarshal(text, st); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; choose another --id to import everything again", path, err)
	}
	if st.Version != stateVersion {
		return nil, fmt.Errorf("%s has version %d, this logplug knows %d", path, st.Version, stateVersion)
	}
	if st.Lines == nil {
		st.Lines = map[string]open{}
	}
	return st, nil
}

// Save replaces the file in one step.
func (st *State) Save(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("note how far the import got: %w", err)
		}
	}()
	text, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
