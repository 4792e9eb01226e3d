package drivertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// stage puts a binary into dir, under the name of a driver. It is linked where its own
// mode would not make a host refuse it: a file that was just written may be busy.
func stage(dir, name, binary string) (string, error) {
	if !wire.ValidName(name) {
		return "", fmt.Errorf("%q is no name of a driver; it consists of %s", name, wire.NamePattern)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return "", err
	}
	binary, err := filepath.EvalSymlinks(binary)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(binary)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, wire.DriverPrefix+name)
	if st.Mode().Perm()&0o022 == 0 && os.Link(binary, path) == nil {
		return path, nil
	}
	return path, copyFile(path, binary)
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}

// stage gives the binary, which is under some other name, the one that it says is its
// own, in a directory where a host finds it.
func (c *checker) stage(ctx context.Context) error {
	d, err := c.describe(ctx)
	if err != nil {
		return fmt.Errorf("run it with the argument %q, for the name that hosts must find it under: %w", wire.DescribeCommand, err)
	}
	if c.staged, err = os.MkdirTemp("", "drivertest-"); err != nil {
		return fmt.Errorf("make a directory for the binary: %w", err)
	}
	if c.binary, err = stage(c.staged, d.Name, c.binary); err != nil {
		return fmt.Errorf("call it %s%s: %w", wire.DriverPrefix, d.Name, err)
	}
	c.name = d.Name
	return nil
}

// describe returns what the binary prints of itself, without a host.
func (c *checker) describe(ctx context.Context) (d logdriver.Description, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.binary, wire.DescribeCommand)
	cmd.Env = c.plainEnv()
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return d, fmt.Errorf("%w; on stderr: %s", err, shown(string(exit.Stderr)))
		}
		return d, err
	}
	if err := json.Unmarshal(out, &d); err != nil {
		return d, fmt.Errorf("decode %s: %w", shown(string(out)), err)
	}
	return d, nil
}
