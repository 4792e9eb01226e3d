package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// startNATS starts a server with JetStream, and returns its address.
func startNATS(t testing.TB) (url string) {
	t.Helper()
	dir := t.TempDir()
	p, err := receiver.Start(context.Background(), receiver.Command{
		Path: receiver.Need(t, "nats-server"),
		Args: []string{"--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir", dir, "--ports_file_dir", dir},
		Dir:  dir,
		Ready: func() (err error) {
			url, err = natsURL(dir)
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return url
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
