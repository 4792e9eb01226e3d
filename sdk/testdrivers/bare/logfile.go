package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

// record is a line of a log file.
type record struct {
	Stream string `json:"stream"`
	Seq    uint64 `json:"seq"`
	Entry  []byte `json:"entry"`
}

// logFile is a log: in memory for its readers, and in a file for the time after.
type logFile struct {
	path string

	mu      sync.Mutex
	file    *os.File // nil in a log that is only read, or was closed
	size    int64
	entries []*pb.Entry
	last    map[string]uint64 // by stream
	changed chan struct{}     // closed when there is more, or when the log was closed
}

func openLog(path string, write bool) (*logFile, error) {
	l := &logFile{path: path, last: map[string]uint64{}, changed: make(chan struct{})}
	if write {
		if err := l.lock(); err != nil {
			return nil, err
		}
	}
	if err := l.load(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

var errBusy = errors.New("the log is being written")

// lockWait is for a writer that is being killed.
const lockWait = 2 * time.Second

// lock opens the file to write to, unless somebody else has done so.
func (l *logFile) lock() (err error) {
	if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
		return err
	}
	for late := time.Now().Add(lockWait); ; <-time.After(10 * time.Millisecond) {
		err = syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if time.Now().After(late) || !errors.Is(err, syscall.EWOULDBLOCK) {
			return errors.Join(errBusy, err, l.close())
		}
	}
}

// load reads what there is.
func (l *logFile) load() error {
	text, err := os.ReadFile(l.path)
	if err != nil {
		return err
	}
	l.size = int64(bytes.LastIndexByte(text, '\n') + 1) // the end of a process may have torn the last one
	for line := range bytes.Lines(text[:l.size]) {
		var r record
		var e pb.Entry
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if err := proto.Unmarshal(r.Entry, &e); err != nil {
			return err
		}
		l.entries = append(l.entries, &e)
		l.last[r.Stream] = r.Seq
	}
	return nil
}

// append writes all entries, or none.
func (l *logFile) append(stream string, batches []*pb.Batch) error {
	var text bytes.Buffer
	var entries []*pb.Entry
	last := uint64(0)
	enc := json.NewEncoder(&text)
	for _, b := range batches {
		for i, e := range b.GetEntries() {
			last = b.GetFirstSeq() + uint64(i)
			data, err := proto.Marshal(e)
			if err != nil {
				return err
			}
			if err := enc.Encode(record{stream, last, data}); err != nil {
				return err
			}
			entries = append(entries, e)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.file.Truncate(l.size) // what an attempt before has left
	if err == nil {
		_, err = l.file.WriteAt(text.Bytes(), l.size)
	}
	if err != nil {
		return err
	}
	l.size += int64(text.Len())
	l.entries = append(l.entries, entries...)
	l.wake()
	return nil
}

func (l *logFile) sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.Sync()
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	l.wake()
	return err
}

// wake tells readers. l.mu is held.
func (l *logFile) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// from returns what comes after the first n entries, whether more can come, and
// what tells of it.
func (l *logFile) from(n int) (entries []*pb.Entry, open bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[n:], l.file != nil, l.changed
}
