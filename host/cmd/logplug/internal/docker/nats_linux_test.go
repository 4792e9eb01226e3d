package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// natsServer is a server with JetStream, which may be stopped and started again.
type natsServer struct {
	t       testing.TB
	dir     string
	addr    string // host:port
	process *receiver.Process
}

// startNATS starts a server that ends with the test, and returns its address.
func startNATS(t testing.TB) (url string) {
	t.Helper()
	s := &natsServer{t: t, dir: t.TempDir(), addr: "127.0.0.1:-1"}
	return s.start()
}

func (s *natsServer) start() (url string) {
	s.t.Helper()
	host, port, _ := strings.Cut(s.addr, ":")
	p, err := receiver.Start(context.Background(), receiver.Command{
		Path: receiver.Need(s.t, "nats-server"),
		Args: []string{"--addr", host, "--port", port, "--jetstream", "--store_dir", s.dir, "--ports_file_dir", s.dir},
		Dir:  s.dir,
		Ready: func(context.Context) (err error) {
			url, err = natsURL(s.dir)
			return err
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = p
	s.t.Cleanup(s.stop)
	return url
}

func (s *natsServer) stop() {
	if s.process == nil {
		return
	}
	if err := s.process.Stop(); err != nil {
		s.t.Error(err)
	}
	s.process = nil
}

// A server that is down stops no container from starting, running, or ending. What it
// missed it gets when it is back.
func TestServerIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// An address of this process's own: the port is free again and again.
	addr := fmt.Sprintf("127.83.%d.%d:4222", os.Getpid()>>8&0xff, os.Getpid()&0xff)
	s := &natsServer{t: t, dir: t.TempDir(), addr: addr}
	r.create("served", "logplug-nats", []string{"nats-url=nats://" + s.addr}, "out:hello", "begin", "out:middle", "wait", "out:end")
	r.Run("start", "served")
	r.await("the reason is told", func() bool { return r.out.has("not connected to NATS at nats://" + s.addr) })
	logs := func(want string) {
		t.Helper()
		r.await("it is logged", func() bool {
			out, err := r.Docker("logs", "served").Output()
			return err == nil && string(out) == want
		})
	}
	s.start()
	logs("hello\n")
	s.stop()
	r.Run("kill", "--signal", "USR1", "served")
	r.Run("stop", "served")
	s.start()
	logs("hello\nmiddle\nend\n")
	r.await("everything is delivered", func() bool { return len(r.stats().Streams) == 0 })
}

// natsURL reads the address that a server has noted in dir.
func natsURL(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.ports"))
	if err != nil || len(files) == 0 {
		return "", errors.Join(err, errors.New("it has noted no address"))
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return "", err
	}
	var ports struct {
		NATS []string `json:"nats"`
	}
	if err := json.Unmarshal(text, &ports); err != nil || len(ports.NATS) == 0 {
		return "", errors.Join(err, errors.New("it has not noted its address"))
	}
	return ports.NATS[0], nil
}
