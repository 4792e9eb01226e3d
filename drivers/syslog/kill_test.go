package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// patience bounds failure.
const patience = time.Minute

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// killDriver kills the driver's process, once there is another one than before, and
// returns its number.
func killDriver(t *testing.T, h *host.Host, before int) int {
	t.Helper()
	pid := 0
	eventually(t, "a process of the driver", func() bool {
		pid = h.Stats().Drivers[0].Pid
		return pid != 0 && pid != before
	})
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestDriverIsKilled: everything arrives although the driver's process is killed again
// and again, in order from each process, and without a gap to the one before.
func TestDriverIsKilled(t *testing.T) {
	const (
		kills = 3
		each  = 1500
	)
	for _, transport := range []string{"tcp", "tcp+tls", "unix", "unixgram"} {
		t.Run(transport, func(t *testing.T) {
			d := startDaemon(t, "rsyslogd")
			h, l := openIn(t, d.config(transport, "rfc5424micro"))
			pid := 0
			for i := range kills {
				logNumbers(t, l, i*each, i*each+1)
				// The receiver has finished the handshake.
				eventually(t, "a message of each process", func() bool { return d.processes(t) > i })
				logNumbers(t, l, i*each+1, (i+1)*each)
				pid = killDriver(t, h, pid)
			}
			logNumbers(t, l, kills*each, (kills+1)*each)
			shutdown(t, l)
			d.checkProcesses(t, (kills+1)*each)
			if h.Stats().Drivers[0].Restarts < kills {
				t.Errorf("%d processes were started in place of another", h.Stats().Drivers[0].Restarts)
			}
		})
	}
}

// processes returns from how many processes something has come.
func (d *daemon) processes(t *testing.T) int {
	t.Helper()
	seen := make(map[string]bool)
	for _, r := range d.records(t) {
		seen[r.ProcID] = true
	}
	return len(seen)
}

// checkProcesses waits until all numbers have arrived from some process, and checks that
// each process has sent numbers in order, beginning with one that another has sent or the
// next. The receiver may read the connections of two processes at once.
func (d *daemon) checkProcesses(t *testing.T, n int) {
	t.Helper()
	type stretch struct{ first, last int }
	var sent map[string]*stretch // by process
	eventually(t, "all numbers", func() bool {
		sent = make(map[string]*stretch)
		seen := make(map[int]bool)
		for _, r := range d.records(t) {
			number, err := strconv.Atoi(strings.Fields(r.Text)[1])
			if err != nil {
				t.Fatalf("%q: %v", r.Text, err)
			}
			seen[number] = true
			s := sent[r.ProcID]
			switch {
			case s == nil:
				sent[r.ProcID] = &stretch{number, number}
				continue
			case number > s.last+1:
				t.Fatalf("process %s: %d follows %d", r.ProcID, number, s.last)
			}
			s.last = number // it may have come before
		}
		return len(seen) == n
	})
	var order []*stretch
	for _, s := range sent {
		order = append(order, s)
	}
	slices.SortFunc(order, func(a, b *stretch) int { return cmp.Compare(a.first, b.first) })
	end := -1
	for _, s := range order {
		if s.first > end+1 {
			t.Errorf("%d follows %d", s.first, end)
		}
		end = max(end, s.last)
	}
}

func (d *daemon) records(t *testing.T) []receiver.SyslogRecord {
	t.Helper()
	records, err := d.Records()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// TestDriverIsKilledInMidLine: what is acknowledged of a line has been sent, though the
// line has not ended.
func TestDriverIsKilledInMidLine(t *testing.T) {
	const (
		size   = 16 << 10
		before = 20 // parts that are acknowledged before the driver is killed
		parts  = before + 2
	)
	for _, transport := range []string{"tcp", "unix"} {
		t.Run(transport, func(t *testing.T) {
			d := startDaemon(t, "rsyslogd")
			h, l := openIn(t, d.config(transport, "rfc5424micro"))
			var want []byte
			logParts := func(first, last int) {
				for i := first; i <= last; i++ {
					m := logdriver.NewMessage()
					for n := 0; len(m.Line) < size; n++ {
						m.Line = fmt.Appendf(m.Line, "%d.%d,", i, n)
					}
					want = append(want, m.Line...)
					m.Source, m.Timestamp = "stdout", time.Now()
					m.Partial = logdriver.Partial{ID: "line", Ordinal: i, Last: i == parts}
					if err := l.Log(m); err != nil {
						t.Fatal(err)
					}
				}
			}
			logParts(1, before)
			eventually(t, "acknowledgements", func() bool { return l.Stats().Acked.Messages == before })
			killDriver(t, h, 0)
			logParts(before+1, parts)
			shutdown(t, l)
			var got []byte
			eventually(t, "the whole line", func() bool {
				got = joinRecords(t, d.records(t))
				return len(got) >= len(want)
			})
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes have become other %d", len(want), len(got))
			}
		})
	}
}

// joinRecords puts together what has come of a line, whichever connection was read first.
func joinRecords(t *testing.T, records []receiver.SyslogRecord) (line []byte) {
	t.Helper()
	place := func(r receiver.SyslogRecord) [2]int {
		var p [2]int
		for i, name := range []string{"partial-ordinal", "part"} {
			text, ok := r.Data["logplug@32473"][name].(string)
			n, err := strconv.Atoi(text)
			if !ok || err != nil {
				t.Fatalf("%s in %v", name, r.Data)
			}
			p[i] = n
		}
		return p
	}
	slices.SortFunc(records, func(a, b receiver.SyslogRecord) int {
		x, y := place(a), place(b)
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
	})
	for _, r := range records {
		line = append(line, r.Text...)
	}
	return line
}
