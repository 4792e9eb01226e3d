//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
)

// drivers are the binaries that the storm uses.
type drivers struct {
	dir      string
	names    []string
	pristine string // directory of what was built
	copies   atomic.Uint64
}

// buildDrivers builds the drivers below dir.
func buildDrivers(dir string) (*drivers, error) {
	d := &drivers{dir: filepath.Join(dir, "plugins"), pristine: filepath.Join(dir, "built")}
	for _, p := range []string{d.dir, d.pristine} {
		if err := os.MkdirAll(p, 0o755); err != nil {
			return nil, err
		}
	}
	for name, pkg := range map[string]string{
		"jsonfile": "github.com/logplug/logplug/drivers/jsonfile",
		"sink":     "github.com/logplug/logplug/sdk/testdrivers/sink",
	} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(d.pristine, driverPrefix+name), pkg).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
		d.names = append(d.names, name)
		if err := d.replace(name, 0); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// replace puts a binary that differs by its last bytes in the place of the one
// in use, as an upgrade does.
func (d *drivers) replace(name string, trailer uint64) error {
	binaryText, err := os.ReadFile(filepath.Join(d.pristine, driverPrefix+name))
	if err != nil {
		return err
	}
	binaryText = binary.LittleEndian.AppendUint64(binaryText, trailer)
	fresh := filepath.Join(d.pristine, fmt.Sprintf("%s.%d", name, d.copies.Add(1)))
	if err := os.WriteFile(fresh, binaryText, 0o755); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return os.Rename(fresh, filepath.Join(d.dir, driverPrefix+name))
}
