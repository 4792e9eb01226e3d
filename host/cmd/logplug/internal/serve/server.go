//go:build linux

package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/containerd"
	"github.com/logplug/logplug/host/cmd/logplug/internal/handover"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/host/internal/filelock"
)

const (
	// requestTimeout bounds how long a client may take for its request, and for Go.
	requestTimeout = 10 * time.Second
	// openTimeout bounds opening a log; the client gives up later.
	openTimeout = 40 * time.Second
	// maxClients bounds clients that are being served at a time and have not said Go.
	maxClients = 64
	// stopGrace is for how long stopping waits for drivers that take nothing.
	stopGrace = time.Second
)

// Config configures a Server.
type Config struct {
	Host  *host.Host
	Store *jobs.Store
	// Job makes the job of a request.
	Job func(r *handover.Request) (jobs.Job, error)
	// CloseTimeout bounds how long a driver may take at the end of a container.
	CloseTimeout time.Duration
	Logger       hclog.Logger
}

// Server takes over the pipes of containers.
type Server struct {
	cfg      Config
	listener *net.UnixListener
	lock     *os.File
	clients  chan struct{}

	ctx    context.Context // ends when the server stops
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// Listen makes the socket, which only this user and root can use. Its directory is
// made if need be. A second server on the same path is refused.
func Listen(path string, cfg Config) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the socket: %w; choose another with --socket", err)
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	l, err := listen(path)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	s := &Server{cfg: cfg, listener: l, lock: lock, clients: make(chan struct{}, maxClients)}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.finishEnded()
	return s, nil
}

// lockSocket keeps other servers from the socket: one that is left over can be
// removed without disturbing anybody.
func lockSocket(path string) (*os.File, error) {
	f, err := filelock.Acquire(path + ".lock")
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("socket %s: another logplug serve listens there", path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the socket: %w; choose another with --socket", err)
	}
	return f, nil
}

func listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// Made under another name, so that nobody connects before the mode is set.
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: temp, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(temp, 0o600); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// Serve serves until ctx ends, or a failure. Containers are logged on until Stop.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		conn, err := s.listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if conn != nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			s.cfg.Logger.Error("too many files are open; a container has to wait", "error", err)
			pause(ctx, requestTimeout/100)
			continue
		case err != nil:
			return fmt.Errorf("accept on %s: %w", s.listener.Addr(), err)
		}
		s.wg.Go(func() { s.client(conn) })
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Stop ends the reading of all pipes: what is left in them is for the next server.
// What was logged stays with the host, which the caller closes, before it calls Wait.
func (s *Server) Stop() {
	s.cancel(containerd.ErrStopped)
	_ = s.listener.Close()
}

// Wait waits until everything has ended, and lets go of the socket's path.
func (s *Server) Wait() {
	s.wg.Wait()
	_ = s.lock.Close()
}
