package sdk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

// textOptions are the options of a driver that writes lines of text to a file.
type textOptions struct {
	Dir  string   `logplug:"dir,required" help:"Directory of the files"`
	Sync bool     `logplug:"sync" help:"Wait for the disk after every batch"`
	Size sdk.Size `logplug:"line-size" default:"16k" help:"Size above which lines are split"`
	sdk.Tag
}

// Validate is called when the options are decoded.
func (o *textOptions) Validate() error {
	if !filepath.IsAbs(o.Dir) {
		return &logdriver.OptionError{Option: "dir", Reason: "is not an absolute path"}
	}
	return nil
}

// path returns the file of a source of logs.
func (o *textOptions) path(info *logdriver.Info) (string, error) {
	tag, err := o.Tag.Render(info)
	return filepath.Join(o.Dir, filepath.Base(tag)+".log"), err
}

// textDriver is the whole driver; its main function is
//
//	func main() { os.Exit(sdk.Main(textDriver)) }
var textDriver = sdk.Driver[textOptions]{
	Name:       "text",
	Version:    "1.0.0",
	Summary:    "Lines of text in one file for each source",
	Capability: logdriver.Capability{ReadLogs: true},
	Open: func(_ context.Context, info logdriver.Info, opts *textOptions) (logdriver.Logger, error) {
		path, err := opts.path(&info)
		if err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, err
		}
		return &textLogger{file: f, textReader: textReader{path}, opts: opts}, nil
	},
	OpenReader: func(_ context.Context, info logdriver.Info, opts *textOptions) (logdriver.LogReader, error) {
		path, err := opts.path(&info)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s", logdriver.ErrNoLog, path)
		}
		return &textReader{path}, nil
	},
}

// textLogger writes a batch with one call.
type textLogger struct {
	textReader
	file *os.File
	opts *textOptions
	buf  []byte
}

func (l *textLogger) Name() string { return "text" }

func (l *textLogger) BufSize() int { return int(l.opts.Size) }

func (l *textLogger) LogBatch(_ context.Context, msgs []*logdriver.Message) error {
	l.buf = l.buf[:0]
	for _, m := range msgs {
		l.buf = append(l.buf, m.Line...)
		if !m.Partial.More() {
			l.buf = append(l.buf, '\n')
		}
	}
	if _, err := l.file.Write(l.buf); err != nil {
		return err
	}
	if l.opts.Sync {
		return l.file.Sync()
	}
	return nil
}

// Log is not called, since there is LogBatch.
func (l *textLogger) Log(m *logdriver.Message) error {
	err := l.LogBatch(context.Background(), []*logdriver.Message{m})
	if err == nil {
		logdriver.PutMessage(m)
	}
	return err
}

func (l *textLogger) Close() error { return l.file.Close() }

// textReader reads a file from its beginning; a real driver heeds the whole of
// ReadConfig.
type textReader struct{ path string }

func (r *textReader) ReadLogs(ctx context.Context, _ logdriver.ReadConfig) *logdriver.LogWatcher {
	w := logdriver.NewLogWatcher()
	go func() {
		defer close(w.Msg)
		f, err := os.Open(r.path)
		if err != nil {
			w.Fail(err)
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			m := logdriver.NewMessage()
			m.Line = append(append(m.Line, lines.Bytes()...), '\n')
			if !w.Send(ctx, m) {
				logdriver.PutMessage(m)
				return
			}
		}
		if err := lines.Err(); err != nil {
			w.Fail(err)
		}
	}()
	return w
}

func Example() {
	desc, err := textDriver.Description()
	fmt.Println(desc.Name, desc.Version, err)
	for _, o := range desc.Options {
		fmt.Printf("%s (%s): %s\n", o.Name, o.Type, o.Help)
	}
	_, err = textDriver.Options(map[string]string{"dir": "logs"})
	fmt.Println(err)
	_, err = textDriver.Options(map[string]string{"dir": "/logs", "snyc": "true"})
	fmt.Println(err)
	// Output:
	// text 1.0.0 <nil>
	// dir (string): Directory of the files
	// sync (bool): Wait for the disk after every batch
	// line-size (size): Size above which lines are split
	// tag (template): Template for the tag of messages; {{.ID}} if not given
	// driver text: option "dir": is not an absolute path
	// driver text: option "snyc": no such option; did you mean "sync"? (options are: dir, sync, line-size, tag)
}
