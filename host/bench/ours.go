package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// pollInterval is how often a measurement looks whether all is acknowledged. An
// acknowledgement is waited for in this way because Flush does more: it makes
// the driver's sink durable.
const pollInterval = 100 * time.Microsecond

// stuck bounds waiting for acknowledgements.
const stuck = 2 * time.Minute

// rig is a host with one driver in use.
type rig struct {
	*host.Host
	driver string
	dir    string
}

func newRig(j *job, driver string, cfg host.Config) (*rig, error) {
	cfg.PluginDirs = []string{j.Drivers}
	cfg.SocketParent = j.Scratch
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Name: "host", Level: hclog.Warn, Output: os.Stderr})
	h, err := host.New(cfg)
	if err != nil {
		return nil, err
	}
	return &rig{h, driver, j.Scratch}, nil
}

// close ends the host; err is the outcome of what was done with it.
func (r *rig) close(err error) error { return errors.Join(err, r.Close(context.Background())) }

func (r *rig) info(id string, config map[string]string) logdriver.Info {
	return logdriver.Info{
		ContainerID: id, ContainerName: "/" + id, LogPath: filepath.Join(r.dir, id+".log"), Config: config,
	}
}

func (r *rig) open(ctx context.Context, id string, config map[string]string) (host.Logger, error) {
	return r.Open(ctx, r.driver, r.info(id, config))
}

// pid returns the driver's process.
func (r *rig) pid() (int, error) {
	for _, d := range r.Stats().Drivers {
		if d.Driver == r.driver && d.Pid != 0 {
			return d.Pid, nil
		}
	}
	return 0, fmt.Errorf("driver %s does not run", r.driver)
}

// send logs a line.
func send(l host.Logger, line []byte, at time.Time) error {
	m := logdriver.NewMessage()
	m.Line = append(m.Line, line...)
	m.Source = source
	m.Timestamp = at
	return l.Log(m)
}

// sendBorrowed logs a line that is not copied into the message, as a caller
// with large lines in a buffer of its own does.
func sendBorrowed(l host.Logger, line []byte, at time.Time) error {
	m := logdriver.NewMessage()
	m.Borrow(line)
	m.Source = source
	m.Timestamp = at
	return l.Log(m)
}

// settled waits until everything that l accepted is acknowledged.
func settled(l host.Logger) error {
	for end := time.Now().Add(stuck); ; time.Sleep(pollInterval) {
		st := l.Stats()
		if st.Failed.Messages+st.Dropped.Messages > 0 {
			return fmt.Errorf("messages were lost: %+v", st)
		}
		if st.Spooled.Messages == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not acknowledged within %v: %+v", stuck, st)
		}
	}
}
