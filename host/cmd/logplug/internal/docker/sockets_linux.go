package docker

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

const (
	// rescanInterval is how often is looked for new drivers.
	rescanInterval = 5 * time.Second
	// probePatience bounds finding out whether somebody serves a socket.
	probePatience = time.Second
)

// socket is one plugin's.
type socket struct {
	path   string
	id     os.FileInfo // of the file, which somebody may have replaced
	server *http.Server
	done   chan struct{}
}

// Serve serves the plugins until ctx ends, and then quits. It calls ready once all
// sockets are there.
func (s *Service) Serve(ctx context.Context, ready func()) error {
	if err := os.MkdirAll(s.cfg.SocketDir, 0o755); err != nil {
		return err
	}
	sockets := make(map[string]*socket)
	defer func() {
		s.Quit()
		for _, k := range sockets {
			k.close()
		}
	}()
	generic, err := s.listen(s.cfg.Name, "")
	if err != nil {
		return err
	}
	sockets[""] = generic
	tick := time.NewTicker(rescanInterval)
	defer tick.Stop()
	failed := make(map[string]string)
	for {
		s.rescan(sockets, failed)
		if ready != nil {
			ready()
			ready = nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// rescan makes a socket for each driver that has none. One whose driver is gone stays: a
// container may be in use that needs it.
func (s *Service) rescan(sockets map[string]*socket, failed map[string]string) {
	for _, d := range s.drivers() {
		if sockets[d] != nil {
			continue
		}
		k, err := s.listen(s.cfg.Name+"-"+d, d)
		if err == nil {
			sockets[d] = k
			continue
		}
		if failed[d] != err.Error() {
			failed[d] = err.Error()
			s.log.Error("the plugin of a driver is not served", "driver", d, "error", err)
		}
	}
}

// listen serves one plugin.
func (s *Service) listen(name, driver string) (*socket, error) {
	path := filepath.Join(s.cfg.SocketDir, name+".sock")
	if err := makeWay(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	k := &socket{path: path, done: make(chan struct{})}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if k.id, err = os.Lstat(path); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	p := &plugin{service: s, driver: driver}
	k.server = &http.Server{
		Handler: p.handler(), ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(s.log.StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}), "", 0),
	}
	go func() {
		defer close(k.done)
		if err := k.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("a plugin is not served any more", "socket", path, "error", err)
		}
	}()
	s.log.Debug("serving", "plugin", name)
	return k, nil
}

// makeWay removes a socket that nobody serves.
func makeWay(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way and no socket; remove it", path)
	}
	c, err := net.DialTimeout("unix", path, probePatience)
	if err == nil {
		return errors.Join(fmt.Errorf("%s is served by another process; stop that, or choose another name", path), c.Close())
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// close waits for the calls that are going on, and removes the socket.
func (k *socket) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if k.server.Shutdown(ctx) != nil {
		_ = k.server.Close()
	}
	<-k.done
	if st, err := os.Lstat(k.path); err == nil && os.SameFile(st, k.id) {
		_ = os.Remove(k.path)
	}
}
