//go:build !linux

package receiver

import "syscall"

func childAttributes() *syscall.SysProcAttr { return nil }
