// Logplug-driver-latency measures how long messages are on their way, for
// benchmarks. A line begins with the time of sending, 16 hexadecimal digits of
// the nanoseconds since 1970; a line of zeros is not measured.
package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

type options struct {
	File string `logplug:"file,required" help:"file that gets the latencies in nanoseconds, one a line, when the logger is closed"`
}

// stampDigits is the length of the time at the front of a line.
const stampDigits = 16

type logger struct {
	file      string
	latencies []int64
}

func open(_ context.Context, _ logdriver.Info, opts *options) (logdriver.Logger, error) {
	return &logger{file: opts.File}, nil
}

func (l *logger) Name() string { return "latency" }

func (l *logger) Log(m *logdriver.Message) error {
	if err := l.LogBatch(context.Background(), []*logdriver.Message{m}); err != nil {
		return err
	}
	logdriver.PutMessage(m)
	return nil
}

func (l *logger) LogBatch(_ context.Context, msgs []*logdriver.Message) error {
	now := time.Now().UnixNano()
	for _, m := range msgs {
		if len(m.Line) < stampDigits {
			return logdriver.Permanent(errors.New("a line without the time of sending"))
		}
		sent, err := strconv.ParseInt(string(m.Line[:stampDigits]), 16, 64)
		if err != nil {
			return logdriver.Permanent(err)
		}
		if sent > 0 {
			l.latencies = append(l.latencies, now-sent)
		}
	}
	return nil
}

func (l *logger) Close() error {
	f, err := os.Create(l.file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, ns := range l.latencies {
		w.WriteString(strconv.FormatInt(ns, 10)) // Flush returns the error
		w.WriteByte('\n')
	}
	return errors.Join(w.Flush(), f.Close())
}

func main() {
	os.Exit(sdk.Main(sdk.Driver[options]{
		Name: "latency", Version: "1.0.0", Summary: "Measures how long messages are on their way", Open: open,
	}))
}
