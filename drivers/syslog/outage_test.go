package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/sdk/drivertest"
	"github.com/logplug/logplug/shared/logdriver"
)

// openHost opens a logger through a host and a process of the driver.
func openHost(t *testing.T, config map[string]string) host.Logger {
	t.Helper()
	_, l := openIn(t, config)
	return l
}

// openIn is openHost for tests that need the host.
func openIn(t *testing.T, config map[string]string) (*host.Host, host.Logger) {
	t.Helper()
	dir := filepath.Dir(drivertest.Self(t, name))
	h, err := host.New(host.Config{
		PluginDirs: []string{dir}, Timeouts: host.Timeouts{Start: patience, Call: patience, Close: patience, Health: patience},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	l, err := h.Open(t.Context(), name, logdriver.Info{ContainerID: "0123456789abcdef", Config: config})
	if err != nil {
		t.Fatal(err)
	}
	return h, l
}

// logNumbers logs the numbers from first up to, and without, end.
func logNumbers(t *testing.T, l logdriver.Logger, first, end int) {
	t.Helper()
	for i := first; i < end; i++ {
		m := logdriver.NewMessage()
		m.Line = fmt.Appendf(m.Line, "number %d %s", i, strings.Repeat("x", 60))
		m.Source, m.Timestamp = "stdout", time.Now()
		if err := l.Log(m); err != nil {
			t.Fatal(err)
		}
	}
}

func shutdown(t *testing.T, l host.Logger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if s := l.Stats(); s.Acked.Messages != s.Accepted.Messages || s.Failed.Messages != 0 {
		t.Errorf("%d accepted, %d acknowledged, %d failed %s", s.Accepted.Messages, s.Acked.Messages, s.Failed.Messages, s.LastFailure)
	}
}

// allNumbers waits until the last number has arrived, and returns what is wrong
// with all of them: a number is missing, or not in order. Numbers may come again,
// in stretches that begin at one that came before and go on in order.
func (d *daemon) allNumbers(t *testing.T, n int) (repeated int) {
	t.Helper()
	records := d.awaitText(t, 0, fmt.Sprintf("number %d ", n-1))
	highest, last := -1, -1
	for _, r := range records {
		number, err := strconv.Atoi(strings.Fields(r.Text)[1])
		if err != nil {
			t.Fatalf("%q: %v", r.Text, err)
		}
		switch {
		case number > highest+1:
			t.Errorf("%d follows %d: what is between is missing", number, highest)
		case number > last+1:
			t.Errorf("%d follows %d: not in order", number, last)
		}
		last, highest = number, max(highest, number)
	}
	if highest != n-1 {
		t.Errorf("the last number is %d, not %d", highest, n-1)
	}
	return len(records) - n
}

// TestReceiverIsKilled: a receiver that is killed again and again, and loses what
// it had in memory, gets everything in the end, in order, as long as what it
// loses was acknowledged in the time before that counts, and is no more than
// syslog-resend.
func TestReceiverIsKilled(t *testing.T) {
	const (
		kills = 3
		each  = 1500
	)
	for _, program := range []string{"rsyslogd", "syslog-ng"} {
		for _, transport := range []string{"tcp", "tcp+tls", "unix", "unixgram"} {
			t.Run(program+"/"+transport, func(t *testing.T) {
				d := startDaemon(t, program)
				config := d.config(transport, "rfc5424micro")
				config["syslog-resend"] = "16m" // more than all messages
				l := openHost(t, config)
				for i := range kills {
					logNumbers(t, l, i*each, (i+1)*each)
					switch i % 3 {
					case 0: // in the middle of writing
					case 1: // when everything was acknowledged
						if err := l.Flush(t.Context()); err != nil {
							t.Fatal(err)
						}
					case 2: // in order
						if err := d.Stop(); err != nil {
							t.Fatal(err)
						}
					}
					d.Kill()
					if err := d.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				logNumbers(t, l, kills*each, (kills+1)*each)
				shutdown(t, l)
				repeated := d.allNumbers(t, (kills+1)*each)
				t.Logf("%d kills, %d messages, %d of them twice", kills, (kills+1)*each, repeated)
			})
		}
	}
}

// TestReceiverIsDown: a receiver that is down does not keep a logger from being
// opened, and messages from being accepted; the statistics say why they wait.
func TestReceiverIsDown(t *testing.T) {
	d := startDaemon(t, "rsyslogd")
	for i, transport := range []string{"tcp", "tcp+tls", "unix", "unixgram"} {
		d.Kill()
		l := openHost(t, d.config(transport, "rfc5424"))
		logNumbers(t, l, i*100, (i+1)*100)
		deadline := time.Now().Add(patience)
		for !strings.Contains(l.Stats().Blocked, "connect to "+transport+"://") {
			if time.Now().After(deadline) {
				t.Fatalf("%s: blocked is %q", transport, l.Stats().Blocked)
			}
			<-time.After(5 * time.Millisecond)
		}
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		shutdown(t, l)
		if repeated := d.allNumbers(t, (i+1)*100); repeated != 0 {
			t.Errorf("%s: %d messages twice", transport, repeated)
		}
	}
}

// refused returns a configuration that a daemon does not accept: without the client's
// certificate.
func (d *daemon) refused() map[string]string {
	config := d.config("tcp+tls", "rfc5424")
	delete(config, "syslog-tls-cert")
	delete(config, "syslog-tls-key")
	return config
}

// TestCertificateIsRefused: a logger shows that the receiver does not accept the client,
// although the receiver's system acknowledges bytes.
func TestCertificateIsRefused(t *testing.T) {
	for _, program := range []string{"rsyslogd", "syslog-ng"} {
		t.Run(program, func(t *testing.T) {
			d := startDaemon(t, program)
			l := openHost(t, d.refused())
			n := 0
			eventually(t, "the logger is blocked", func() bool {
				logNumbers(t, l, n, n+1) // the first may be acknowledged before the refusal comes
				n++
				return strings.Contains(l.Stats().Blocked, "send to tcp+tls://")
			})
			t.Log(l.Stats().Blocked)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			err := l.Shutdown(ctx)
			var undelivered *logdriver.UndeliveredError
			if err != nil && !errors.As(err, &undelivered) {
				t.Fatalf("Shutdown: %v", err)
			}
		})
	}
}

// TestRefusedIsOnProbation: once a receiver has ended a connection early, nothing is
// acknowledged on the next ones, whatever time the refusal takes.
func TestRefusedIsOnProbation(t *testing.T) {
	for _, program := range []string{"rsyslogd", "syslog-ng"} {
		t.Run(program, func(t *testing.T) {
			d := startDaemon(t, program)
			info := logdriver.Info{Config: d.refused()}
			opts, err := driver().Options(info.Config)
			if err != nil {
				t.Fatal(err)
			}
			opts.probation = time.Hour
			l, err := newLogger(&info, opts, &sync.Pool{New: func() any { return new(buffer) }})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			seq, refusals := uint64(1), 0
			eventually(t, "refusals", func() bool {
				msg := &logdriver.Message{Line: []byte("x"), Source: "stdout", Timestamp: time.Now(), Seq: seq}
				err := l.LogBatch(t.Context(), []*logdriver.Message{msg})
				switch {
				case err != nil:
					refusals++ // it is offered again
				case refusals > 0:
					t.Fatalf("message %d is acknowledged after %d refusals", seq, refusals)
				default:
					seq++
				}
				return refusals == 5
			})
		})
	}
}
