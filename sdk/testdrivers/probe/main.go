// Logplug-driver-probe tries what its options say when a logger is opened, and
// returns, as the only message of its log, a report in JSON of what its process
// could do, for tests of hosts that confine drivers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

// needsEnv is a variable with the driver's needs in JSON.
const needsEnv = "PROBE_NEEDS"

// connectTimeout bounds one attempt.
const connectTimeout = 5 * time.Second

type options struct {
	Write    []string `logplug:"write" help:"files to create"`
	Connect  []string `logplug:"connect" help:"TCP addresses to connect to"`
	Listen   []string `logplug:"listen" help:"TCP addresses to listen on"`
	Signal   []string `logplug:"signal" help:"numbers of processes to look for with signal 0"`
	Allocate sdk.Size `logplug:"allocate" help:"memory to fill"`
	Spin     bool     `logplug:"spin" help:"use processor time for ever"`
	Open     int      `logplug:"open" help:"number of files to open at once"`
}

// logger holds a report.
type logger struct{ report []byte }

func open(_ context.Context, info logdriver.Info, opts *options) (logdriver.Logger, error) {
	r := newReport()
	for _, path := range opts.Write {
		r.try("write "+path, os.WriteFile(path, []byte("probe\n"), 0o600))
	}
	if info.LogPath != "" {
		r.try("log path", os.WriteFile(info.LogPath, []byte("probe\n"), 0o600))
	}
	for _, address := range opts.Connect {
		c, err := net.DialTimeout("tcp", address, connectTimeout)
		r.try("connect "+address, err)
		if err == nil {
			_ = c.Close()
		}
	}
	for _, address := range opts.Listen {
		r.try("listen "+address, listen(address))
	}
	for _, pid := range opts.Signal {
		r.try("signal "+pid, lookFor(pid))
	}
	r.try("open", openFiles(opts.Open))
	for n := int64(0); n < int64(opts.Allocate); n += chunk {
		r.hold = append(r.hold, fill())
	}
	for n := uint64(0); opts.Spin; n++ {
		r.spun = n // until a limit ends the process
	}
	text, err := json.Marshal(r)
	return &logger{text}, err
}

// listen listens by plain TCP: Landlock leaves Multipath TCP alone.
func listen(address string) error {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

func openFiles(n int) error {
	for range n {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		defer f.Close()
	}
	return nil
}

// chunk is how much fill allocates.
const chunk = 4 << 20

// fill returns memory of which each page is in use.
func fill() []byte {
	b := make([]byte, chunk)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

func (l *logger) Name() string { return "probe" }
func (l *logger) Close() error { return nil }
func (l *logger) Log(m *logdriver.Message) error {
	logdriver.PutMessage(m)
	return nil
}

// ReadLogs returns the report.
func (l *logger) ReadLogs(ctx context.Context, _ logdriver.ReadConfig) *logdriver.LogWatcher {
	w := logdriver.NewLogWatcher()
	m := logdriver.NewMessage()
	m.Line, m.Source, m.Timestamp = append(append(m.Line, l.report...), '\n'), "stdout", time.Now()
	w.Send(ctx, m)
	close(w.Msg)
	return w
}

func main() {
	var needs logdriver.Needs
	if text := os.Getenv(needsEnv); text != "" {
		if err := json.Unmarshal([]byte(text), &needs); err != nil {
			fmt.Fprintln(os.Stderr, needsEnv+":", err)
			os.Exit(1)
		}
	}
	os.Exit(sdk.Main(sdk.Driver[options]{
		Name: "probe", Version: version, Summary: "Reports what its process can do",
		Capability: logdriver.Capability{ReadLogs: true}, Needs: needs, Open: open,
	}))
}

// version is one that a test can set when it links the program.
var version = "1.0.0"
