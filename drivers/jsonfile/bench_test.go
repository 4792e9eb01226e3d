package main

import (
	"testing"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/sdk/logfile/logfilebench"
	"github.com/logplug/logplug/shared/logdriver"
)

func BenchmarkLogBatch(b *testing.B)  { logfilebench.LogBatch(b, openLarge) }
func BenchmarkReadAll(b *testing.B)   { logfilebench.ReadAll(b, openLarge) }
func BenchmarkReadParts(b *testing.B) { logfilebench.ReadParts(b, openLarge) }

// openLarge opens a log that stays in one file.
func openLarge(b *testing.B, path string) *logfile.Logger {
	return mustOpen(b, &logdriver.Info{LogPath: path, Config: map[string]string{"max-size": "10g"}})
}
