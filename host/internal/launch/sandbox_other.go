//go:build !unix

package launch

import (
	"errors"
	"os/exec"
)

var errLinuxOnly = errors.New("this system cannot do that")

func (b *box) onThread(f func()) { f() }

func (b *box) enter() error {
	if b.User != nil {
		return &SandboxError{What: "user " + b.User.Name, Err: errLinuxOnly}
	}
	return b.unsupported()
}

func (b *box) prepare(cmd *exec.Cmd, _ bool) {
	prepare(cmd)
	cmd.Dir = b.Dir
}

func (b *box) needsStop() bool { return false }

func (b *box) admit(int, bool) error { return nil }
