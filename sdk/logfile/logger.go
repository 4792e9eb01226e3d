package logfile

import (
	"context"
	"errors"

	"github.com/logplug/logplug/shared/logdriver"
)

type log = Log

// Logger makes a driver's logger of a log that is open for writing.
type Logger struct {
	*log
	name string
}

var _ interface {
	logdriver.BatchLogger
	logdriver.LogReader
	logdriver.Flusher
	logdriver.Sequencer
} = (*Logger)(nil)

// OpenLogger opens the log at cfg.Path as [Open] does, for the driver called name.
func OpenLogger(name string, cfg Config) (*Logger, error) {
	l, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	return &Logger{l, name}, nil
}

// Name implements logdriver.Logger.
func (l *Logger) Name() string { return l.name }

// Log implements logdriver.Logger.
func (l *Logger) Log(m *logdriver.Message) error {
	err := l.Append([]*logdriver.Message{m})
	var batch *logdriver.BatchError
	if errors.As(err, &batch) && batch.Done > 0 {
		err = nil // the record is there
	}
	if err != nil {
		return err
	}
	logdriver.PutMessage(m)
	return nil
}

// LogBatch implements logdriver.BatchLogger.
func (l *Logger) LogBatch(_ context.Context, msgs []*logdriver.Message) error {
	return l.Append(msgs)
}
