// Logplug-driver-textfile appends messages to a text file.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

type options struct {
	Path string `logplug:"path,required" help:"file to append to"`
}

type logger struct{ file *os.File }

func (l *logger) Name() string { return "textfile" }
func (l *logger) Close() error { return l.file.Close() }
func (l *logger) Log(m *logdriver.Message) error {
	_, err := fmt.Fprintf(l.file, "%s %s %s\n", m.Timestamp.Format(logdriver.TimeFormat), m.Source, m.Line)
	if err == nil {
		logdriver.PutMessage(m)
	}
	return err
}

func open(_ context.Context, _ logdriver.Info, opts *options) (logdriver.Logger, error) {
	file, err := os.OpenFile(opts.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	return &logger{file}, err
}

var driver = sdk.Driver[options]{Name: "textfile", Version: "1.0.0", Summary: "Appends messages to a text file", Open: open}

func main() { os.Exit(sdk.Main(driver)) }
