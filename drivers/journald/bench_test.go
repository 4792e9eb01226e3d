package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// cpu returns the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf is cpu for another process, in ticks of 10 ms.
func cpuOf(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	var user, system int64
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	_, _ = fmt.Sscan(fields[11], &user)
	_, _ = fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func BenchmarkLogBatch(b *testing.B) {
	for _, confirm := range []string{confirmSent, confirmStored, confirmSynced} {
		for _, n := range []int{1, 64, 512} {
			b.Run(fmt.Sprintf("confirm=%s/messages=%d", confirm, n), func(b *testing.B) {
				j := receiver.StartJournald(b, receiver.JournaldConfig{})
				l := mustOpen(b, j, logdriver.Info{ContainerID: "bench", Stream: "s"}, map[string]string{"confirm": confirm})
				defer l.Close()
				msgs := make([]*logdriver.Message, n)
				for i := range msgs {
					msgs[i] = &logdriver.Message{Line: bytes.Repeat([]byte("0123456789"), 10), Source: "stdout"}
				}
				seq := uint64(0)
				b.ReportAllocs()
				own, theirs := cpu(), cpuOf(b, j.Pid())
				for b.Loop() {
					for _, m := range msgs {
						seq++
						m.Seq, m.Timestamp = seq, time.Now()
					}
					if err := l.LogBatch(b.Context(), msgs); err != nil {
						b.Fatal(err)
					}
				}
				total := float64(b.N) * float64(n)
				b.ReportMetric(total/b.Elapsed().Seconds(), "messages/s")
				b.ReportMetric(float64((cpu()-own).Nanoseconds())/total, "cpu-ns/message")
				b.ReportMetric(float64((cpuOf(b, j.Pid())-theirs).Nanoseconds())/total, "journald-cpu-ns/message")
			})
		}
	}
}

// filled returns a journal in which every second entry is of the log "bench".
func filled(b *testing.B, n int) *logger {
	j := receiver.StartJournald(b, receiver.JournaldConfig{})
	l := mustOpen(b, j, logdriver.Info{ContainerID: "bench", Stream: "s"}, nil)
	other := mustOpen(b, j, logdriver.Info{ContainerID: "other", Stream: "s"}, map[string]string{"confirm": confirmSent})
	for i := 0; i < n; i += 500 {
		msgs := numbered(i+1, i+500)
		if err := l.LogBatch(b.Context(), msgs); err != nil {
			b.Fatal(err)
		}
		if err := other.LogBatch(b.Context(), msgs); err != nil {
			b.Fatal(err)
		}
	}
	other.Close()
	b.Cleanup(func() { l.Close() })
	return l
}

func BenchmarkRead(b *testing.B) {
	const n = 200_000
	l := filled(b, n)
	middle := readAll(b, l, logdriver.ReadConfig{Tail: n / 2})[0].Timestamp
	for _, tc := range []struct {
		name string
		cfg  logdriver.ReadConfig
	}{
		{"all", logdriver.ReadConfig{Tail: -1}},
		{"tail=100", logdriver.ReadConfig{Tail: 100}},
		{"since, 10 ms in the middle", logdriver.ReadConfig{Tail: -1, Since: middle, Until: middle.Add(10 * time.Millisecond)}},
		{"last sequence", logdriver.ReadConfig{}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			got := 0
			for b.Loop() {
				if tc.name == "last sequence" {
					again := newLogger(l.place, l.enc, l.confirm)
					if err := again.begin(b.Context(), true); err != nil || again.last != n {
						b.Fatal(again.last, err)
					}
					again.release()
					continue
				}
				got += len(readAll(b, l, tc.cfg))
			}
			b.ReportMetric(float64(got)/float64(b.N), "messages")
		})
	}
}
