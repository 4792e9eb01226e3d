package host

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/logplug/logplug/host/internal/discover"
	"github.com/logplug/logplug/shared/wire"
)

const (
	// maxPinsBytes bounds the file of pins: 4 MiB.
	maxPinsBytes = 4 << 20
	// maxPinnedBytes bounds a binary that is compared with its pins: 1 GiB.
	maxPinnedBytes = 1 << 30
)

type digest = [sha256.Size]byte

// pins are the SHA-256 sums that each driver's binary may have, in a file that is
// read again whenever it matters: a new binary and its sum need no new host. The
// zero value pins nothing.
type pins struct{ file string }

// PinError reports a driver's binary that is not one of those that Config.Pins
// lists.
type PinError struct {
	// Driver is the driver's name, and File the file of pins.
	Driver, File string
	// Sum is the binary's SHA-256 in hexadecimal; empty if it was not looked at,
	// because the file does not list the driver.
	Sum string
}

func (e *PinError) Error() string {
	if e.Sum == "" {
		return fmt.Sprintf("%s lists no SHA-256 for %s%s: if you trust the binary, add what sha256sum prints for it",
			e.File, wire.DriverPrefix, e.Driver)
	}
	return fmt.Sprintf("its SHA-256 is %s, which %s does not list for %s%s: it was changed or replaced; if you trust it, add what sha256sum prints for it",
		e.Sum, e.File, wire.DriverPrefix, e.Driver)
}

// enabled tells whether drivers are pinned.
func (p pins) enabled() bool { return p.file != "" }

// load reads the file: the output of sha256sum, where lines for other files than
// drivers are left out, as are empty ones and those that begin with "#".
func (p pins) load() (map[string][]digest, error) {
	f, err := os.Open(p.file)
	if err != nil {
		return nil, fmt.Errorf("read the pins of drivers: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the pins of drivers: %w", err)
	}
	switch {
	case !fi.Mode().IsRegular():
		err = errors.New("it is not a regular file")
	case fi.Size() > maxPinsBytes:
		err = fmt.Errorf("it has %d bytes, the limit is %d", fi.Size(), maxPinsBytes)
	default:
		err = discover.Trusted(fi)
	}
	if err != nil {
		return nil, fmt.Errorf("read the pins of drivers from %s: %w", p.file, err)
	}
	all, err := parsePins(io.LimitReader(f, maxPinsBytes))
	if err != nil {
		return nil, fmt.Errorf("read the pins of drivers from %s: %w", p.file, err)
	}
	return all, nil
}

func parsePins(r io.Reader) (map[string][]digest, error) {
	all := make(map[string][]digest)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		sum, file, err := parsePin(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if name, ok := pinnedName(file); ok {
			all[name] = append(all[name], sum)
		}
	}
	return all, lines.Err()
}

// parsePin reads a line of sha256sum: the sum, a space, a space or "*", the file.
func parsePin(line string) (sum digest, file string, err error) {
	text, rest, ok := strings.Cut(strings.TrimPrefix(line, `\`), " ")
	if !ok || len(rest) < 2 || (rest[0] != ' ' && rest[0] != '*') {
		return sum, "", errors.New(`it is not of the form "SHA256  FILE" that sha256sum prints`)
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(sum) {
		return sum, "", fmt.Errorf("%.80q is not a SHA-256 sum of %d hexadecimal digits", text, hex.EncodedLen(len(sum)))
	}
	return digest(b), rest[1:], nil
}

// pinnedName takes the driver's name from the path of a file.
func pinnedName(file string) (string, bool) {
	base := strings.TrimSuffix(path.Base(strings.ReplaceAll(file, `\`, "/")), ".exe")
	name, ok := strings.CutPrefix(base, wire.DriverPrefix)
	return name, ok && wire.ValidName(name)
}

// verifier returns the function that judges the bytes of a driver's binary; nil if
// drivers are not pinned.
func (p pins) verifier(driver string) func(digest) error {
	if !p.enabled() {
		return nil
	}
	return func(sum digest) error {
		all, err := p.load()
		if err != nil {
			return err
		}
		switch pinned := all[driver]; {
		case len(pinned) == 0:
			return &PinError{Driver: driver, File: p.file}
		case !slices.Contains(pinned, sum):
			return &PinError{Driver: driver, File: p.file, Sum: hex.EncodeToString(sum[:])}
		}
		return nil
	}
}

// refuse marks the candidates whose files are not pinned. Those that pass are
// looked at again when they are executed.
func (p pins) refuse(found []discover.Candidate) []discover.Candidate {
	if !p.enabled() {
		return found
	}
	all, err := p.load()
	for i := range found {
		if c := &found[i]; c.Skipped == "" {
			if reason := errors.Join(err, p.compare(all, err == nil, c)); reason != nil {
				c.Skipped = reason.Error()
			}
		}
	}
	return found
}

// compare looks at one file, if the pins are known.
func (p pins) compare(all map[string][]digest, known bool, c *discover.Candidate) error {
	switch {
	case !known:
		return nil
	case len(all[c.Name]) == 0:
		return &PinError{Driver: c.Name, File: p.file}
	}
	sum, err := sumFile(c.Path)
	if err != nil {
		return err
	}
	if !slices.Contains(all[c.Name], sum) {
		return &PinError{Driver: c.Name, File: p.file, Sum: hex.EncodeToString(sum[:])}
	}
	return nil
}

func sumFile(path string) (sum digest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxPinnedBytes+1))
	if err == nil && n > maxPinnedBytes {
		err = fmt.Errorf("it has more than %d bytes", maxPinnedBytes)
	}
	return digest(h.Sum(nil)), err
}
