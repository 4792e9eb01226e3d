package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// daemon is a real receiver.
type daemon struct {
	*receiver.Syslog
	certs receiver.Certificates
}

// startDaemon runs rsyslogd or syslog-ng until the end of the test.
func startDaemon(t testing.TB, program string) *daemon {
	t.Helper()
	path := receiver.Need(t, program)
	// The paths of t.TempDir are too long for sockets.
	dir, err := os.MkdirTemp("", "syslog")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{}
	if d.certs, err = receiver.NewCertificates(dir); err != nil {
		t.Fatal(err)
	}
	start := receiver.StartRsyslog
	if program == "syslog-ng" {
		start = receiver.StartSyslogNG
	}
	if d.Syslog, err = start(t.Context(), path, dir, d.certs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Kill()
		if t.Failed() {
			t.Logf("%s printed: %s", program, d.Output())
		}
	})
	return d
}

// config returns the options for a transport.
func (d *daemon) config(transport, format string) map[string]string {
	c := map[string]string{
		"syslog-address": d.Address(transport, format == "rfc5424" || format == "rfc5424micro"),
		"syslog-format":  format,

		"syslog-facility": "syslog",
		"labels":          "team",
	}
	if transport == "tcp+tls" {
		c["syslog-tls-ca-cert"], c["syslog-tls-cert"], c["syslog-tls-key"] = d.certs.CA, d.certs.ClientCert, d.certs.ClientKey
	}
	return c
}

// awaitText returns the records once there are more than before and the last one
// contains a text, or what there is after a while.
func (d *daemon) awaitText(t testing.TB, before int, text string) []receiver.SyslogRecord {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		records, err := d.Records()
		if err != nil {
			t.Fatal(err)
		}
		n := len(records)
		if n > before && strings.Contains(records[n-1].Text, text) || time.Now().After(deadline) {
			return records
		}
		<-tick.C
	}
}

func mustOpen(t testing.TB, info logdriver.Info) *logger {
	t.Helper()
	opts, err := driver().Options(info.Config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLogger(&info, opts, &sync.Pool{New: func() any { return new(buffer) }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var transports = []string{"tcp", "tcp+tls", "udp", "unix", "unixgram"}

var formats = []string{"", "rfc3164", "rfc5424", "rfc5424micro"}

func TestTransportsAndFormats(t *testing.T) {
	for _, program := range []string{"rsyslogd", "syslog-ng"} {
		t.Run(program, func(t *testing.T) {
			d := startDaemon(t, program)
			n := 0
			for _, transport := range transports {
				for _, format := range formats {
					if program == "syslog-ng" && format == "rfc3164" && strings.HasPrefix(transport, "unix") {
						continue // it expects no host name in what local programs send
					}
					t.Run(transport+" "+format, func(t *testing.T) { testFormat(t, d, transport, format, n) })
					n++
				}
			}
		})
	}
}

// testFormat sends one message, and compares what the daemon has understood.
func testFormat(t *testing.T, d *daemon, transport, format string, before int) {
	l := mustOpen(t, logdriver.Info{
		ContainerID: "0123456789abcdef", ContainerLabels: map[string]string{"team": "blue"},
		Config: d.config(transport, format),
	})
	at := time.Now().Truncate(time.Microsecond)
	text := fmt.Sprintf("message %d by %s as %q", before, transport, format)
	err := l.LogBatch(context.Background(), []*logdriver.Message{{
		Line: []byte(text), Source: "stderr", Timestamp: at, Seq: 1,
		Attrs: []logdriver.Attr{{Key: "k", Value: `a "quoted\ ]value`}, {Key: "an odd=key", Value: "välue"}},
	}})
	if err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	records := d.awaitText(t, before, text)
	if len(records) != before+1 {
		t.Fatalf("%d records, not %d", len(records), before+1)
	}
	got := records[before]
	host, _ := os.Hostname()
	want := receiver.SyslogRecord{
		Priority: 5<<3 | 3, Time: at.Truncate(time.Second), Host: host, App: "0123456789ab",
		ProcID: strconv.Itoa(os.Getpid()), MsgID: "stderr", Text: text,
		Data: map[string]map[string]any{"logplug@32473": {"team": "blue", "k": `a "quoted\ ]value`, "attr": "an odd=key=välue"}},
	}
	if format == "rfc5424micro" {
		want.Time = at
	}
	if !strings.HasPrefix(format, "rfc5424") {
		want.MsgID, want.Data = "", nil
		got.Text = strings.TrimPrefix(got.Text, " ") // rsyslogd counts the blank after the tag to the text
		got.MsgID = strings.TrimPrefix(got.MsgID, "-")
	}
	if format == "" {
		want.Host = got.Host // the format has none
	}
	got.Time = got.Time.UTC()
	want.Time = want.Time.UTC()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}
