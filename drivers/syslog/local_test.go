package main

import (
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/sdk/remote"
	"github.com/logplug/logplug/shared/logdriver"
)

// openLocal opens a logger for the system's daemon, as if that had its socket there.
func openLocal(t *testing.T, path string) *logger {
	t.Helper()
	opts, err := driver().Options(map[string]string{"syslog-address": "local", "tag": "local"})
	if err != nil {
		t.Fatal(err)
	}
	opts.addresses = socketsAt(filepath.Join(t.TempDir(), "missing"), path)
	l, err := newLogger(&logdriver.Info{}, opts, &sync.Pool{New: func() any { return new(buffer) }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A daemon that has a stream tells messages apart.
func TestLocalStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	received := receiver.ReadStream(ln)
	l := openLocal(t, path)
	msgs := []*logdriver.Message{
		{Line: []byte("first"), Source: "stdout", Timestamp: time.Now(), Seq: 1},
		{Line: []byte("second"), Source: "stdout", Timestamp: time.Now(), Seq: 2},
	}
	if err := l.LogBatch(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	lines := strings.SplitAfter(<-received, "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[0], ": first\n") || !strings.HasSuffix(lines[1], ": second\n") || lines[2] != "" {
		t.Errorf("%q", lines)
	}
}

// Daemons take what they are sent by the address local, by a socket of either kind.
func TestLocalDaemons(t *testing.T) {
	for _, program := range []string{"rsyslogd", "syslog-ng"} {
		t.Run(program, func(t *testing.T) {
			d := startDaemon(t, program)
			n := 0
			for _, transport := range []string{"unix", "unixgram"} {
				address, err := remote.ParseAddress("", d.Address(transport, false), schemes...)
				if err != nil {
					t.Fatal(err)
				}
				l := openLocal(t, address.Path)
				for _, line := range []string{"first by " + transport, "second by " + transport} {
					msg := &logdriver.Message{Line: []byte(line), Source: "stdout", Timestamp: time.Now(), Seq: uint64(n + 1)}
					if err := l.LogBatch(t.Context(), []*logdriver.Message{msg}); err != nil {
						t.Fatal(err)
					}
					records := d.awaitText(t, n, line)
					if n++; len(records) != n {
						t.Fatalf("%d records, not %d", len(records), n)
					}
					if got := strings.TrimPrefix(records[n-1].Text, " "); got != line { // rsyslogd keeps the blank after the tag
						t.Errorf("%q has become %q", line, got)
					}
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
