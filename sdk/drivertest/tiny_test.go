package drivertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

// tinyOptions are the options of the tiny driver.
type tinyOptions struct {
	Break    string        `logplug:"break" default:"nothing" help:"the rule to break"`
	Token    string        `logplug:"token,secret" help:"is not used"`
	Account  string        `logplug:"account,required" help:"is not used either"`
	Buffer   sdk.Size      `logplug:"buffer-size" default:"64k" help:"is not used either"`
	Interval time.Duration `logplug:"interval" default:"1s" help:"is not used either"`
	Speed    string        `logplug:"speed" default:"fast" enum:"fast,slow" help:"is not used either"`
	Verbose  bool          `logplug:"verbose" help:"is not used either"`
}

// path returns the file to use: one for each log, but for a broken driver, where a
// few share one.
func (o *tinyOptions) path(info *logdriver.Info) string {
	if o.Break == "logger/many" {
		return filepath.Join(filepath.Dir(info.LogPath), "shared-"+info.ContainerID[:1]+".log")
	}
	return info.LogPath
}

// tiny is a driver that keeps logs in memory and, for its next process, in a
// file of JSON lines. It knows how to break rules.
type tiny struct {
	mu     sync.Mutex
	stores map[string]*store
}

func (t *tiny) driver(name string) sdk.Driver[tinyOptions] {
	return sdk.Driver[tinyOptions]{
		Name: name, Version: "1.0.0", Summary: "Keeps logs in memory and in a file",
		Capability: logdriver.Capability{ReadLogs: true},
		Open:       t.open,
		OpenReader: t.openReader,
	}
}

func (t *tiny) open(_ context.Context, info logdriver.Info, opts *tinyOptions) (logdriver.Logger, error) {
	if opts.Break == "options/secret" {
		fmt.Fprintln(os.Stderr, "opened with", opts.Token)
	}
	path := opts.path(&info)
	if opts.Break == "close/reopen" || opts.Break == "logger/busy" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stores[path]
	if s == nil || s.writers == 0 {
		var err error
		if s, err = load(path, opts.Break); err != nil {
			return nil, err
		}
		t.stores[path] = s
	}
	s.writers++
	return &tinyLogger{tiny: t, store: s, stream: info.Stream}, nil
}

func (t *tiny) openReader(_ context.Context, info logdriver.Info, opts *tinyOptions) (logdriver.LogReader, error) {
	path := opts.path(&info)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, logdriver.ErrNoLog
	}
	s, err := load(path, opts.Break)
	if err != nil {
		return nil, err
	}
	return s, s.file.Close()
}

// stored is a message as the file has it.
type stored struct {
	Stream       string
	Seq          uint64
	Line         []byte
	Source       string
	Time         time.Time
	Attrs        []logdriver.Attr
	Partial      logdriver.Partial
	Unterminated bool
}

// store is one log.
type store struct {
	breaks string
	file   *os.File

	mu      sync.Mutex
	writers int
	all     []stored
	held    []byte        // acknowledged too early
	changed chan struct{} // closed when there is more, or when the writer has closed
}

func load(path, breaks string) (*store, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	s := &store{breaks: breaks, file: f, changed: make(chan struct{})}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1] // a kill may have torn the last one
	for line := range bytes.Lines(whole) {
		var m stored
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		s.all = append(s.all, m)
	}
	return s, f.Truncate(int64(len(whole)))
}

// wake tells readers. It is called with s.mu.
func (s *store) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

type tinyLogger struct {
	*store
	tiny   *tiny
	stream string
}

func (l *tinyLogger) Name() string { return "tiny" }

func (l *tinyLogger) Log(*logdriver.Message) error { panic("LogBatch is called in its place") }

func (l *tinyLogger) LastSeq() (last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.all {
		if m.Stream == l.stream {
			last = max(last, m.Seq)
		}
	}
	if l.breaks == "delivery/last-seq" && last > 0 {
		last--
	}
	return last
}

func (l *tinyLogger) LogBatch(_ context.Context, msgs []*logdriver.Message) error {
	var text bytes.Buffer
	batch := make([]stored, 0, len(msgs))
	for _, m := range msgs {
		s := l.spoil(stored{
			Stream: l.stream, Seq: m.Seq, Line: bytes.Clone(m.Line), Source: m.Source, Time: m.Timestamp,
			Attrs: append([]logdriver.Attr(nil), m.Attrs...), Partial: m.Partial, Unterminated: m.Unterminated,
		})
		if l.breaks == "line/empty" && len(m.Line) == 0 {
			continue
		}
		line, err := json.Marshal(&s)
		if err != nil {
			return logdriver.Permanent(err)
		}
		text.Write(append(line, '\n'))
		batch = append(batch, s)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.breaks {
	case "delivery/acknowledged":
		l.held = append(l.held, text.Bytes()...)
	case "close/delivers":
		if l.held == nil { // all but the first batch is lost
			l.held = []byte{}
			if _, err := l.file.Write(text.Bytes()[:bytes.IndexByte(text.Bytes(), '\n')+1]); err != nil {
				return err
			}
		}
	default:
		if _, err := l.file.Write(text.Bytes()); err != nil {
			return err
		}
	}
	l.all = append(l.all, batch...)
	l.wake()
	return nil
}

// spoil changes a message as a broken driver would.
func (s *store) spoil(m stored) stored {
	switch s.breaks {
	case "line/bytes":
		m.Line = bytes.ToValidUTF8(m.Line, []byte("\uFFFD"))
	case "line/unterminated":
		m.Unterminated = false
	case "line/partial":
		if m.Partial.IsPartial() {
			m.Partial.Last = m.Partial.Ordinal == 2
		}
	case "line/source":
		m.Source = "stdout"
	case "line/attributes":
		m.Attrs = nil
	case "line/time":
		m.Time = m.Time.Truncate(time.Second)
	case "process/stdout":
		fmt.Println("logged a message")
	}
	return m
}

func (l *tinyLogger) Close() error {
	l.tiny.mu.Lock()
	defer l.tiny.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) > 0 && l.breaks == "delivery/acknowledged" {
		if _, err := l.file.Write(l.held); err != nil {
			return err
		}
		l.held = nil
	}
	if l.writers--; l.writers > 0 {
		return nil
	}
	l.wake()
	return l.file.Close()
}

// lateStart is how long a slow driver takes to begin reading.
const lateStart = 400 * time.Millisecond

// ReadLogs implements logdriver.LogReader.
func (s *store) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	if s.breaks == "late" && cfg.Follow && !cfg.Until.IsZero() {
		<-time.After(lateStart)
	}
	s.mu.Lock()
	r := &tinyReading{store: s, cfg: cfg, w: logdriver.NewLogWatcher(), pos: s.start(cfg)}
	s.mu.Unlock()
	// The host knows that the reading has begun once this function returns.
	if left := time.Until(cfg.Until); left > 0 && s.breaks != "follow/until-clock" {
		r.expired = time.After(left)
	}
	go func() {
		defer close(r.w.Msg)
		r.run(ctx)
	}()
	return r.w
}

// start is where a reading begins. It is called with s.mu.
func (s *store) start(cfg logdriver.ReadConfig) (pos int) {
	if s.breaks == "follow/tail" && cfg.Follow {
		return 0
	}
	if cfg.Tail >= 0 {
		pos = max(0, len(s.all)-cfg.Tail)
	}
	if s.breaks == "tail/fewer" && pos > 0 {
		pos--
	}
	return pos
}

type tinyReading struct {
	store   *store
	cfg     logdriver.ReadConfig
	w       *logdriver.LogWatcher
	pos     int
	matched bool
	expired <-chan time.Time // gets a value when a future Until has passed
}

func (r *tinyReading) run(ctx context.Context) {
	for {
		r.store.mu.Lock()
		rest, changed := r.store.all[r.pos:], r.store.changed
		more := r.cfg.Follow && r.store.writers > 0
		r.store.mu.Unlock()
		if !r.deliver(ctx, rest) {
			return
		}
		r.pos += len(rest)
		if !more {
			if r.cfg.Follow && r.store.breaks == "follow/close" {
				r.w.Fail(errors.New("nobody writes this log any more"))
			}
			return
		}
		select {
		case <-changed:
		case <-r.expired:
			return
		case <-ctx.Done():
			return
		case <-r.w.WatchClose():
			return
		}
	}
}

func (r *tinyReading) deliver(ctx context.Context, all []stored) bool {
	for i := range all {
		m := &all[i]
		if !r.matches(m) {
			continue
		}
		if !r.cfg.Until.IsZero() && m.Time.After(r.cfg.Until) {
			if r.store.breaks == "until/first" {
				continue
			}
			if r.store.breaks == "follow/until" && r.cfg.Follow {
				r.send(ctx, m)
			}
			return false
		}
		if !r.send(ctx, m) {
			return false
		}
	}
	return true
}

func (r *tinyReading) send(ctx context.Context, m *stored) bool {
	out := logdriver.NewMessage()
	out.Line = append(out.Line, m.Line...)
	if !m.Unterminated && (!m.Partial.More() || r.store.breaks == "line/terminator") {
		out.Line = append(out.Line, '\n')
	}
	out.Source, out.Timestamp, out.Partial, out.Unterminated = m.Source, m.Time, m.Partial, m.Unterminated
	out.Attrs = append(out.Attrs, m.Attrs...)
	impatient := r.cfg.Follow && r.store.breaks == "reader/slow"
	if impatient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel() // no waiting for the reader
	}
	if r.w.Send(ctx, out) {
		return true
	}
	logdriver.PutMessage(out)
	if impatient {
		r.w.Fail(errors.New("the reader is too slow"))
	}
	return false
}

// matches applies Since.
func (r *tinyReading) matches(m *stored) bool {
	since := r.cfg.Since
	switch {
	case since.IsZero():
		return true
	case r.store.breaks == "since/inclusive" && m.Time.Equal(since):
		return false
	case r.store.breaks == "since/backwards":
		return !m.Time.Before(since)
	}
	r.matched = r.matched || !m.Time.Before(since)
	return r.matched
}
