package host

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// DeadLetter is a message that its driver will never store: the driver rejected
// it, or its processes ended on it again and again. Files of dead letters hold one as a
// JSON object a line.
type DeadLetter struct {
	// Time is when the message was given up.
	Time   time.Time      `json:"time"`
	Driver string         `json:"driver"`
	Info   logdriver.Info `json:"info"` // without Config, which may hold secrets
	// Seq is the message's sequence in Info.Stream.
	Seq    uint64 `json:"seq"`
	Reason string `json:"reason"`

	// The message.
	Line         []byte             `json:"line"` // base64
	Source       string             `json:"source,omitempty"`
	Timestamp    time.Time          `json:"timestamp,omitzero"`
	Attrs        []logdriver.Attr   `json:"attrs,omitempty"`
	Partial      *logdriver.Partial `json:"partial,omitempty"`
	Unterminated bool               `json:"unterminated,omitempty"`
}

// Message returns a message that can be logged again.
func (d *DeadLetter) Message() *logdriver.Message {
	m := logdriver.NewMessage()
	m.Line = append(m.Line, d.Line...)
	m.Source, m.Timestamp, m.Unterminated = d.Source, d.Timestamp, d.Unterminated
	m.Attrs = append(m.Attrs, d.Attrs...)
	if d.Partial != nil {
		m.Partial = *d.Partial
	}
	return m
}

const (
	// maxLettersAtOnce bounds what one acknowledgement sets aside; more failures
	// are only counted.
	maxLettersAtOnce = 10_000
	// maxLetterBytes bounds a line when reading: a message of the largest size in
	// base64, with its attributes.
	maxLetterBytes = 4 << 20
	// deadLettersFile is the file in a spool directory.
	deadLettersFile = "dead-letters.jsonl"
)

// deadLetters makes dead letters of messages that the driver rejected. It is
// called with l.mu.
func (l *logger) deadLetters(failures []wire.Failure) []DeadLetter {
	var list []DeadLetter
	for _, f := range failures[:min(len(failures), maxLettersAtOnce)] {
		list = append(list, l.letter(f.Seq, f.Reason))
	}
	return list
}

// letter makes a dead letter of a message in the spool. It is called with l.mu.
func (l *logger) letter(seq uint64, reason string) DeadLetter {
	info := l.info.Clone()
	info.Config = nil
	d := DeadLetter{Time: time.Now(), Driver: l.driver.name, Info: info, Seq: seq, Reason: reason}
	var m logdriver.Message
	if !l.driver.host.spool.find(l.queue, seq, &m) {
		return d
	}
	d.Line, d.Source, d.Timestamp, d.Attrs, d.Unterminated = m.Line, m.Source, m.Timestamp, m.Attrs, m.Unterminated
	if m.Partial.IsPartial() {
		d.Partial = &m.Partial
	}
	return d
}

// letters writes dead letters to a file.
type letters struct {
	path  string // empty: they are only counted
	limit int64
	log   hclog.Logger
	sync  func(*os.File) error // makes them survive a loss of power; nil if that was not asked for

	mu sync.Mutex
}

func (l *letters) add(list []DeadLetter) {
	if len(list) == 0 {
		return
	}
	if l.path == "" {
		l.log.Warn("messages that a driver never takes are given up; configure a file for dead letters to keep them", "messages", len(list))
		return
	}
	if err := l.write(list); err != nil {
		l.log.Error("messages that a driver never takes are given up", "messages", len(list), "error", err)
	}
}

func (l *letters) write(list []DeadLetter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(l.appendTo(f, list), f.Close())
}

func (l *letters) appendTo(f *os.File, list []DeadLetter) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() >= l.limit {
		return fmt.Errorf("%s has reached its limit of %d bytes; send its messages again or remove it", l.path, l.limit)
	}
	text, err := endTorn(f, st.Size())
	if err != nil {
		return err
	}
	for i := range list {
		line, err := json.Marshal(&list[i])
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	if _, err = f.Write(text); err != nil || l.sync == nil {
		return err
	}
	return l.persist(f, st.Size() == 0)
}

// endTorn returns what ends the last line of f, if a host was killed or the disk was
// full in the middle of it.
func endTorn(f *os.File, size int64) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil || last[0] == '\n' {
		return nil, err
	}
	return []byte{'\n'}, nil
}

// persist makes f durable, and its name if that is new.
func (l *letters) persist(f *os.File, fresh bool) error {
	if err := l.sync(f); err != nil || !fresh {
		return err
	}
	return spool.SyncPath(filepath.Dir(l.path), l.sync)
}

// ReadDeadLetters iterates over a file of dead letters. Lines that are not one
// are reported with their number; empty ones are skipped.
func ReadDeadLetters(path string) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(DeadLetter{}, err)
			return
		}
		defer f.Close()
		DecodeDeadLetters(f, path)(yield)
	}
}

// DecodeDeadLetters iterates over dead letters as ReadDeadLetters does, once. Errors name
// the place that r reads from.
func DecodeDeadLetters(r io.Reader, name string) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLetterBytes)
		for n := 1; lines.Scan(); n++ {
			if len(lines.Bytes()) == 0 {
				continue // two writers have ended one line
			}
			var d DeadLetter
			err := json.Unmarshal(lines.Bytes(), &d)
			if err != nil {
				err = fmt.Errorf("%s, line %d: not a dead letter: %w", name, n, err)
			}
			if !yield(d, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(DeadLetter{}, fmt.Errorf("%s: %w", name, err))
		}
	}
}
