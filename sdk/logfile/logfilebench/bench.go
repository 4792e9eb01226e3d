// Package logfilebench measures drivers that keep their logs with package logfile,
// all in the same way.
package logfilebench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

// Open opens the log at a path for writing, with files as large as it takes.
type Open func(b *testing.B, path string) *logfile.Logger

// LogBatch measures writing batches of 1, 64 and 1024 lines of 100 bytes.
func LogBatch(b *testing.B, open Open) {
	for _, n := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			l := open(b, filepath.Join(b.TempDir(), "x.log"))
			msgs := batch(n)
			now := time.Now()
			b.ReportAllocs()
			b.SetBytes(int64(n * 100))
			for b.Loop() {
				for _, m := range msgs {
					now = now.Add(time.Microsecond)
					m.Timestamp = now
				}
				if err := l.LogBatch(context.Background(), msgs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/message")
		})
	}
}

// ReadAll measures reading a log of 200,000 messages.
func ReadAll(b *testing.B, open Open) {
	const n = 200_000
	l, size := filled(b, open, n)
	b.ReportAllocs()
	for b.Loop() {
		if got := read(b, l, logdriver.ReadConfig{Tail: -1}); got != n {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/message")
	b.ReportMetric(float64(size)/n, "bytes/record")
}

// ReadParts measures reading parts of a log of 2 million messages.
func ReadParts(b *testing.B, open Open) {
	const n = 2_000_000
	l, _ := filled(b, open, n)
	for _, tc := range []struct {
		name string
		cfg  logdriver.ReadConfig
		want int
	}{
		{"one second in the middle", logdriver.ReadConfig{Tail: -1, Since: time.UnixMilli(n / 2), Until: time.UnixMilli(n/2 + 999)}, 1000},
		{"tail=100", logdriver.ReadConfig{Tail: 100}, 100},
		{"tail=10000", logdriver.ReadConfig{Tail: 10000}, 10000},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := read(b, l, tc.cfg); got != tc.want {
					b.Fatal(got)
				}
			}
		})
	}
}

// filled returns a log of n messages, one a millisecond, and its size in bytes.
func filled(b *testing.B, open Open, n int) (l *logfile.Logger, size int64) {
	path := filepath.Join(b.TempDir(), "x.log")
	l = open(b, path)
	msgs := batch(1000)
	for i := 0; i < n; i += len(msgs) {
		for j, m := range msgs {
			m.Timestamp = time.UnixMilli(int64(i + j))
		}
		if err := l.LogBatch(context.Background(), msgs); err != nil {
			b.Fatal(err)
		}
	}
	fi, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return l, fi.Size()
}

func batch(n int) []*logdriver.Message {
	msgs := make([]*logdriver.Message, n)
	for i := range msgs {
		msgs[i] = &logdriver.Message{Line: bytes.Repeat([]byte("0123456789"), 10), Source: "stdout"}
	}
	return msgs
}

func read(b *testing.B, l *logfile.Logger, cfg logdriver.ReadConfig) (n int) {
	for m, err := range l.ReadLogs(context.Background(), cfg).All() {
		if err != nil {
			b.Fatal(err)
		}
		logdriver.PutMessage(m)
		n++
	}
	return n
}
