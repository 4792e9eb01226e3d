// Logplug-driver-sink appends what it receives to a file and misbehaves as its
// options say, for tests of hosts.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

type options struct {
	File     string `logplug:"file,required" help:"file that gets a line \"SEQ TEXT\" for each message"`
	BufSize  int    `logplug:"buf-size" help:"size above which lines are split"`
	FailFile string `logplug:"fail-file" help:"storing fails while this file exists, with its content as the error"`
	RejectOn string `logplug:"reject-on" help:"messages that contain this are rejected for good"`
	CrashOn  string `logplug:"crash-on" help:"the process exits when it receives a message that contains this"`
	PanicOn  string `logplug:"panic-on" help:"storing panics when a message contains this"`
	HangFile string `logplug:"hang-file" help:"storing waits for as long as this file exists"`
	Token    string `logplug:"token,secret" help:"appears in errors, where the host's side must not show it"`
}

// hangInterval is how often hang looks at the file.
const hangInterval = 10 * time.Millisecond

type sink struct {
	opts *options
	file *os.File
	buf  bytes.Buffer
}

func open(_ context.Context, _ logdriver.Info, opts *options) (logdriver.Logger, error) {
	file, err := os.OpenFile(opts.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the sink (token %s): %w", opts.Token, err)
	}
	if err := cutTorn(opts.File); err != nil {
		return nil, errors.Join(fmt.Errorf("mending the sink (token %s): %w", opts.Token, err), file.Close())
	}
	return &sink{opts: opts, file: file}, nil
}

// cutTorn removes the beginning of a line that an earlier process was killed in
// the middle of writing: it was not acknowledged, and comes again.
func cutTorn(name string) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	fi, err := file.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return err
	}
	buf := make([]byte, min(fi.Size(), 2*logdriver.MaxLineBytes))
	if _, err := file.ReadAt(buf, fi.Size()-int64(len(buf))); err != nil {
		return err
	}
	if whole := bytes.LastIndexByte(buf, '\n') + 1; whole < len(buf) {
		return file.Truncate(fi.Size() - int64(len(buf)-whole))
	}
	return nil
}

func (s *sink) Name() string { return "sink" }
func (s *sink) BufSize() int { return s.opts.BufSize }
func (s *sink) Close() error { return s.file.Close() }

func (s *sink) Log(m *logdriver.Message) error {
	err := s.LogBatch(context.Background(), []*logdriver.Message{m})
	if err == nil {
		logdriver.PutMessage(m)
	}
	return err
}

func (s *sink) LogBatch(ctx context.Context, msgs []*logdriver.Message) error {
	if reason, err := os.ReadFile(s.opts.FailFile); err == nil {
		return fmt.Errorf("%s (token %s)", reason, s.opts.Token)
	}
	if err := s.hang(ctx); err != nil {
		return err
	}
	rejected := map[int]error{}
	s.buf.Reset()
	for i, m := range msgs {
		switch {
		case contains(m, s.opts.CrashOn):
			os.Exit(7)
		case contains(m, s.opts.PanicOn):
			panic("a message that the driver cannot stand")
		case contains(m, s.opts.RejectOn):
			rejected[i] = errors.New("the sink does not take this")
		default:
			fmt.Fprintf(&s.buf, "%d %s\n", m.Seq, m.Line)
		}
	}
	if _, err := s.file.Write(s.buf.Bytes()); err != nil {
		return err
	}
	if len(rejected) > 0 {
		return &logdriver.BatchError{Done: len(msgs), Rejected: rejected}
	}
	return nil
}

func contains(m *logdriver.Message, text string) bool {
	return text != "" && bytes.Contains(m.Line, []byte(text))
}

// hang waits until the file is gone.
func (s *sink) hang(ctx context.Context) error {
	for s.opts.HangFile != "" {
		if _, err := os.Stat(s.opts.HangFile); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		select {
		case <-time.After(hangInterval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func main() {
	os.Exit(sdk.Main(sdk.Driver[options]{
		Name: "sink", Version: "1.0.0", Summary: "Appends to a file and misbehaves on request", Open: open,
	}))
}
