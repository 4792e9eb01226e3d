package logfile

import (
	"fmt"
	"os"
)

// indexWriter extends the index of the file that is being written. A nil one
// writes nothing.
type indexWriter struct {
	f *os.File
	n int
}

func createIndex(name string, gen uint64, id fileID) (*indexWriter, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return nil, fmt.Errorf("create index: %w", err)
	}
	b := marshalHeader(gen, id)
	if _, err := f.WriteAt(b[:], 0); err != nil {
		f.Close()
		_ = os.Remove(name) // without a header it is no index anyway
		return nil, fmt.Errorf("create index %s: %w", name, err)
	}
	return &indexWriter{f: f}, nil
}

func (x *indexWriter) add(e *entry) error {
	if x == nil {
		return nil
	}
	var b [entryBytes]byte
	e.marshal(&b)
	if _, err := x.f.WriteAt(b[:], int64(x.n+1)*entryBytes); err != nil {
		return fmt.Errorf("write index %s: %w", x.f.Name(), err)
	}
	x.n++
	return nil
}

// truncate keeps the first n entries.
func (x *indexWriter) truncate(n int) error {
	if x == nil {
		return nil
	}
	if err := x.f.Truncate(int64(n+1) * entryBytes); err != nil {
		return fmt.Errorf("shorten index %s: %w", x.f.Name(), err)
	}
	x.n = n
	return nil
}

func (x *indexWriter) sync() error {
	if x == nil {
		return nil
	}
	return x.f.Sync()
}

func (x *indexWriter) close() {
	if x != nil {
		x.f.Close()
	}
}
