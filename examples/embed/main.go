// Embed is an application that logs through two drivers: its own slog lines go
// to one, what a command prints goes to another, and is read back.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

func main() {
	plugins := flag.String("plugin-dir", "bin/drivers", "directory with driver binaries, jsonfile and textfile among them")
	flag.Parse()
	if err := run(context.Background(), *plugins); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugins string) (err error) {
	dir, err := os.MkdirTemp("", "logplug-embed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	h, err := host.New(host.Config{PluginDirs: []string{plugins}})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		err = errors.Join(err, h.Close(ctx))
	}()

	// The application's own log goes to the textfile driver.
	own := filepath.Join(dir, "embed.txt")
	text, err := h.Open(ctx, "textfile", logdriver.Info{
		ContainerName: "embed", Config: map[string]string{"path": own},
	})
	if err != nil {
		return err
	}
	log := slog.New(host.NewHandler(text, nil))
	log.Info("starting", "pid", os.Getpid())

	// What a command prints goes to the jsonfile driver, which can be read.
	output, err := h.Open(ctx, "jsonfile", logdriver.Info{
		ContainerName: "hello", LogPath: filepath.Join(dir, "hello.log"),
		Config: map[string]string{"max-size": "10m", "max-file": "3"},
	})
	if err != nil {
		return err
	}
	if err := runCommand(ctx, output, "sh", "-c", "echo to stdout; echo to stderr >&2"); err != nil {
		return err
	}
	log.Info("the command has ended")

	if reader, ok := output.(logdriver.LogReader); ok {
		for m, err := range reader.ReadLogs(ctx, logdriver.ReadConfig{Tail: -1}).All() {
			if err != nil {
				return err
			}
			fmt.Printf("%s: %s", m.Source, m.Line)
		}
	}
	if err := text.Close(); err != nil {
		return err
	}
	lines, err := os.ReadFile(own)
	fmt.Printf("%s", lines)
	return err
}

// runCommand runs a command with its output going to a logger.
func runCommand(ctx context.Context, l logdriver.Logger, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	copier := host.NewCopier(l, nil,
		host.Source{Name: "stdout", Reader: stdout},
		host.Source{Name: "stderr", Reader: stderr})
	return errors.Join(copier.Run(ctx), cmd.Wait())
}
