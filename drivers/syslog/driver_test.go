package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

func TestOptions(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, tc := range []struct {
		config map[string]string
		option string // that is refused; empty if none is
	}{
		{map[string]string{}, ""},
		{map[string]string{"syslog-address": "local"}, ""},
		{map[string]string{"syslog-address": "tcp://localhost"}, ""},
		{map[string]string{"syslog-address": "unix:///no/such/socket"}, ""},
		{map[string]string{"syslog-address": "http://localhost"}, "syslog-address"},
		{map[string]string{"syslog-address": "localhost:514"}, "syslog-address"},
		{map[string]string{"syslog-facility": "local7"}, ""},
		{map[string]string{"syslog-facility": "23"}, ""},
		{map[string]string{"syslog-facility": "24"}, "syslog-facility"},
		{map[string]string{"syslog-facility": ""}, "syslog-facility"},
		{map[string]string{"syslog-facility": "local8"}, "syslog-facility"},
		{map[string]string{"syslog-format": ""}, ""},
		{map[string]string{"syslog-format": "rfc5424micro"}, ""},
		{map[string]string{"syslog-format": "rfc5425"}, "syslog-format"},
		{map[string]string{"syslog-framing": "octet-counting", "syslog-address": "tcp://localhost"}, ""},
		{map[string]string{"syslog-framing": "octet-counting", "syslog-address": "udp://localhost"}, "syslog-framing"},
		{map[string]string{"syslog-framing": "nul"}, "syslog-framing"},
		{map[string]string{"syslog-max-size": "1m", "syslog-address": "tcp://localhost"}, ""},
		{map[string]string{"syslog-max-size": "1m", "syslog-address": "udp://localhost"}, "syslog-max-size"},
		{map[string]string{"syslog-max-size": "100"}, "syslog-max-size"},
		{map[string]string{"syslog-resend": "0"}, ""},
		{map[string]string{"syslog-resend": "1g"}, "syslog-resend"},
		{map[string]string{"syslog-sd-id": "mine"}, "syslog-sd-id"},
		{map[string]string{"syslog-tls-ca-cert": "x", "syslog-address": "tcp://localhost"}, "syslog-address"},
		{map[string]string{"syslog-tls-ca-cert": missing, "syslog-address": "tcp+tls://localhost"}, "syslog-tls-ca-cert"},
		{map[string]string{"syslog-tls-cert": missing, "syslog-address": "tcp+tls://localhost"}, "syslog-tls-key"},
		{map[string]string{"syslog-tls-skip-verify": "perhaps"}, "syslog-tls-skip-verify"},
		{map[string]string{"syslog-tls-skip-verify": "true", "syslog-address": "tcp+tls://localhost"}, ""},
		{map[string]string{"tag": strings.Repeat("x", 300)}, "tag"},
		{map[string]string{"syslog-adress": "x"}, "syslog-adress"},
	} {
		l, err := openDriver(logdriver.Info{Config: tc.config})
		if err == nil {
			err = l.Close()
		}
		var opt *logdriver.OptionError
		switch {
		case tc.option == "" && err != nil:
			t.Errorf("%v: %v", tc.config, err)
		case tc.option != "" && (!errors.As(err, &opt) || opt.Option != tc.option):
			t.Errorf("%v: %v", tc.config, err)
		}
	}
}

// openDriver opens a logger as a process of the driver does.
func openDriver(info logdriver.Info) (logdriver.Logger, error) {
	d := driver()
	opts, err := d.Options(info.Config)
	if err != nil {
		return nil, err
	}
	return d.Open(context.Background(), info, opts)
}

// Nothing of a long line is cut off by receivers with their default limits, or
// by datagrams.
func TestLongLines(t *testing.T) {
	for _, program := range []string{"rsyslogd", "syslog-ng"} {
		t.Run(program, func(t *testing.T) {
			d := startDaemon(t, program)
			before := 0
			for _, transport := range transports {
				config, repeats := d.config(transport, "rfc5424"), 7000
				if transport == "udp" {
					config["syslog-max-size"] = "2k" // what is safe on networks
					repeats = 500                    // not more than the receiver's buffer
				}
				l := mustOpen(t, logdriver.Info{Config: config})
				line := strings.Repeat("0123456789äöü ", repeats) + transport
				msgs := []*logdriver.Message{
					{Line: []byte(line), Source: "stdout", Timestamp: time.Now(), Seq: 1},
					{Line: []byte("end"), Source: "stdout", Timestamp: time.Now(), Seq: 2},
				}
				if err := errors.Join(l.LogBatch(t.Context(), msgs), l.Close()); err != nil {
					t.Fatal(transport, err)
				}
				records := d.awaitText(t, before, "end")
				var got strings.Builder
				for i, r := range records[before : len(records)-1] {
					got.WriteString(r.Text)
					if part := fmt.Sprint(r.Data["logplug@32473"]["part"]); part != fmt.Sprint(i+1) {
						t.Errorf("%s: part %d says it is %s", transport, i+1, part)
					}
				}
				if got.String() != line {
					t.Errorf("%s: %d bytes have become %d", transport, len(line), got.Len())
				}
				before = len(records)
			}
		})
	}
}

// Parts of a line arrive as one message.
func TestPartialsAreJoined(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	received := receiver.ReadStream(ln)
	l, err := openDriver(logdriver.Info{Config: map[string]string{"syslog-address": "tcp://" + ln.Addr().String(), "syslog-format": "rfc5424"}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	err = l.(logdriver.BatchLogger).LogBatch(t.Context(), []*logdriver.Message{
		{Line: []byte("begin, "), Source: "stdout", Timestamp: at, Seq: 1, Partial: logdriver.Partial{ID: "x", Ordinal: 1}},
		{Line: []byte("end"), Source: "stdout", Timestamp: at, Seq: 2, Partial: logdriver.Partial{ID: "x", Ordinal: 2, Last: true}},
	})
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	want := fmt.Sprintf("<30>1 2023-11-14T22:13:20Z %s - %d stdout - begin, end", host, os.Getpid())
	if got := <-received; got != fmt.Sprintf("%d %s", len(want), want) {
		t.Errorf("got %q", got)
	}
}

// A message that is offered again after the receiver took it late is sent once.
func TestSlowReceiver(t *testing.T) {
	q := queue{}
	msg := func(seq uint64) *logdriver.Message { return &logdriver.Message{Seq: seq} }
	msgs := []*logdriver.Message{msg(1), msg(2), msg(3)}
	for _, m := range msgs {
		q.add(m, 2)
	}
	q.confirm(3)
	if n := q.take(3); n != 1 {
		t.Errorf("%d are settled", n)
	}
	if n, ok := q.match([]*logdriver.Message{msg(2), msg(3), msg(4)}); n != 2 || !ok {
		t.Errorf("%d are known, %v", n, ok)
	}
	if n, ok := q.match([]*logdriver.Message{msg(2)}); n != 1 || !ok {
		t.Errorf("%d are known, %v", n, ok)
	}
	if _, ok := q.match([]*logdriver.Message{msg(3)}); ok {
		t.Error("another message is taken for a known one")
	}
	q.confirm(3)
	if n := q.take(1); n != 1 {
		t.Errorf("%d are settled", n)
	}
	if n := q.take(9); n != 1 || len(q.items) != 0 {
		t.Errorf("%d are settled, %d left", n, len(q.items))
	}
}

func BenchmarkLogBatch(b *testing.B) {
	d := startDaemon(b, "rsyslogd")
	for _, transport := range transports {
		for _, n := range []int{64, 1024} {
			b.Run(fmt.Sprintf("rsyslogd/%s/messages=%d", transport, n), func(b *testing.B) {
				benchmark(b, mustOpen(b, logdriver.Info{Config: d.config(transport, "rfc5424micro")}), n)
			})
		}
	}
	b.Run("discard/tcp/messages=1024", func(b *testing.B) {
		benchmark(b, mustOpen(b, logdriver.Info{Config: map[string]string{"syslog-address": "tcp://" + sink(b), "syslog-format": "rfc5424micro"}}), 1024)
	})
}

func benchmark(b *testing.B, l *logger, n int) {
	msgs := make([]*logdriver.Message, n)
	for i := range msgs {
		msgs[i] = &logdriver.Message{Line: bytes.Repeat([]byte("0123456789"), 10), Source: "stdout", Timestamp: time.Now()}
	}
	seq := uint64(0)
	before := cpuTime()
	b.ReportAllocs()
	for b.Loop() {
		for _, m := range msgs {
			seq++
			m.Seq = seq
		}
		if err := l.LogBatch(context.Background(), msgs); err != nil {
			b.Fatal(err)
		}
	}
	count := float64(b.N * n)
	b.ReportMetric(count/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/count, "cpu-ns/message")
	if err := l.Close(); err != nil {
		b.Error(err)
	}
}

// cpuTime returns what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
