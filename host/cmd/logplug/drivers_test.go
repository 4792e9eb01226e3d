//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

// boxOptions are the options of the box driver.
type boxOptions struct {
	Token string `logplug:"token,secret" help:"a secret"`
	Hold  string `logplug:"hold" help:"take nothing while this file exists"`
	Hang  string `logplug:"hang" help:"storing waits while this file exists"`
	Lax   string `logplug:"lax" help:"reject nothing while this file exists"`
	Fate  string `logplug:"fate" help:"what to do" enum:"keep,fail-open" default:"keep"`
}

// boxMain is a driver that writes lines to a file and cannot read them back. It does
// not start while the file .broken is beside it.
func boxMain() {
	if self, err := os.Executable(); err == nil && exists(filepath.Join(filepath.Dir(self), ".broken")) {
		fmt.Fprintln(os.Stderr, "this box is broken")
		os.Exit(3)
	}
	os.Exit(sdk.Main(sdk.Driver[boxOptions]{
		Name: "box", Version: "1.2.3", Summary: "A box for tests", Open: openBox,
	}))
}

func openBox(_ context.Context, info logdriver.Info, opts *boxOptions) (logdriver.Logger, error) {
	if opts.Fate == "fail-open" {
		return nil, fmt.Errorf("the token %s is wrong", opts.Token)
	}
	if err := os.MkdirAll(filepath.Dir(info.LogPath), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(info.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &box{file: f, opts: opts}, nil
}

type box struct {
	file *os.File
	opts *boxOptions
}

func (b *box) Log(m *logdriver.Message) error {
	for exists(b.opts.Hang) {
		<-time.After(10 * time.Millisecond)
	}
	if exists(b.opts.Hold) {
		return fmt.Errorf("held, with the token %s", b.opts.Token)
	}
	if bytes.Contains(m.Line, []byte("REJECT")) && !exists(b.opts.Lax) {
		return logdriver.Permanent(errors.New("will not have this line"))
	}
	if bytes.Contains(m.Line, []byte("EXIT")) {
		os.Exit(4)
	}
	line := append([]byte(m.Source+": "), m.Line...)
	if _, err := b.file.Write(append(line, '\n')); err != nil {
		return err
	}
	logdriver.PutMessage(m)
	return nil
}

func exists(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return err == nil
}

func (b *box) Name() string { return "box" }
func (b *box) Close() error { return b.file.Close() }

// futureMain is a driver that speaks versions of the protocol that do not exist
// yet.
func futureMain() {
	if len(os.Args) > 1 && os.Args[1] == "describe" {
		fmt.Println(`{"name":"future","version":"9","protocol":{"min":98,"max":99},"capability":{"readLogs":true},"options":[]}`)
		return
	}
	fmt.Fprintln(os.Stderr, "made in the future")
	fmt.Println("1|99|unix|/nonexistent/socket|grpc|")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the host is gone
}

// noneMain is a program that is no driver.
func noneMain() {
	fmt.Println("hello, world")
	fmt.Fprintln(os.Stderr, "usage: none FILE")
	os.Exit(3)
}
