package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/nats-io/nats-server/v2/server"
)

const (
	// natsPatience bounds the start of a NATS server.
	natsPatience = 30 * time.Second
	natsAddress  = "address" // the file that tells where it listens
)

// openNATS opens a path to a NATS server of its own, in a process of its own, which
// keeps the stream in files.
func openNATS(ctx context.Context, j *job) (*path, error) {
	dir := filepath.Join(j.Scratch, "n")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	cmd := command(roleNATS, dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a NATS server: %w", err)
	}
	url, err := natsURL(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, stopNATS(cmd))
	}
	p, err := openConfigured(ctx, j, "nats", host.Config{}, map[string]string{"nats-url": url})
	if err != nil {
		return nil, errors.Join(err, stopNATS(cmd))
	}
	closePath := p.close
	p.close = func(err error) error { return errors.Join(closePath(err), stopNATS(cmd)) }
	return p, nil
}

func stopNATS(cmd *exec.Cmd) error {
	return errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
}

// natsURL waits for the server, which says in a file where it listens.
func natsURL(ctx context.Context, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, natsPatience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		address, err := os.ReadFile(filepath.Join(dir, natsAddress))
		if err == nil && len(address) > 0 {
			return "nats://" + string(address), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for the NATS server: %w", ctx.Err())
		}
	}
}

// serveNATS is a NATS server with its files in a directory, until SIGTERM.
func serveNATS(dir string) error {
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(dir, "store"),
		JetStreamMaxMemory: 256 << 20, JetStreamMaxStore: 4 << 30,
	})
	if err != nil {
		return fmt.Errorf("NATS server: %w", err)
	}
	s.Start() // it ends the process at SIGTERM
	if !s.ReadyForConnections(natsPatience) {
		return errors.New("the NATS server does not get ready")
	}
	address := s.Addr().(*net.TCPAddr).String()
	if err := os.WriteFile(filepath.Join(dir, natsAddress), []byte(address), 0o600); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}
