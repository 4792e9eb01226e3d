package logfile

import (
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

const benchRecords, benchTail = 200_000, 10

// benchLog has benchRecords records.
func benchLog(b *testing.B, cfg Config) *Log {
	l := mustOpen(b, cfg)
	for i := 0; i < benchRecords; i += 1000 {
		if err := l.Append(numbered(i, i+1000)); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

func readTail(b *testing.B, r logdriver.LogReader) {
	n := 0
	for m, err := range r.ReadLogs(b.Context(), logdriver.ReadConfig{Tail: benchTail}).All() {
		if err != nil {
			b.Fatal(err)
		}
		logdriver.PutMessage(m)
		n++
	}
	if n != benchTail {
		b.Fatalf("%d records", n)
	}
}

// BenchmarkTail opens a log that nobody writes, and reads its last records: what a
// process that serves a reading spends on it.
func BenchmarkTail(b *testing.B) {
	cfg := config(b)
	if err := benchLog(b, cfg).Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := OpenReader(cfg)
		if err != nil {
			b.Fatal(err)
		}
		readTail(b, r)
	}
}

// BenchmarkTailOfOpenLog does so in the process that writes the log.
func BenchmarkTailOfOpenLog(b *testing.B) {
	l := benchLog(b, config(b))
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		readTail(b, l)
	}
}
