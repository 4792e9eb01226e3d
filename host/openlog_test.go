package host

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

// readingProcess answers Open with logger number 1, and notes the numbers of the
// loggers that are read, 0 for a log that no logger is read for.
func readingProcess(read *[]uint64) *fakeProcess {
	return &fakeProcess{
		open: func(string) (*pb.OpenResponse, error) {
			return &pb.OpenResponse{Logger: 1, Capability: &pb.Capability{ReadLogs: true}}, nil
		},
		read: func(id uint64) *fakeReading {
			*read = append(*read, id)
			return endsWith(io.EOF)
		},
	}
}

func endOf(w *logdriver.LogWatcher) (err error) {
	for _, err = range w.All() {
	}
	return err
}

// TestReadingALogWhoseLoggerIsBeingOpened waits for it: so far, the process does not
// know that somebody writes the log.
func TestReadingALogWhoseLoggerIsBeingOpened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testReadingWhatIsBeingOpened)
}

func testReadingWhatIsBeingOpened(t *testing.T) {
	var read []uint64
	d := fakeDriver(t, spool.Memory{})
	l := fakeLogger(d, "c", nil)
	s := fakeSession(t, d, readingProcess(&read))
	d.session = s
	w := make(chan *logdriver.LogWatcher)
	go func() {
		w <- d.readLogs(t.Context(), &logdriver.Info{ContainerName: "c"}, logdriver.ReadConfig{Tail: -1})
	}()
	synctest.Wait() // it waits
	d.reopenLogger(s, l, nil)
	if err := endOf(<-w); err != nil {
		t.Error(err)
	}
	if !slices.Equal(read, []uint64{1}) {
		t.Errorf("the loggers %v were read", read)
	}
	d.host.readings.Wait()
}

// TestReadingALogWhoseLoggerCannotBeOpened: it is read as it is, but nobody can tell
// what comes.
func TestReadingALogWhoseLoggerCannotBeOpened(t *testing.T) {
	t.Parallel()
	var read []uint64
	d := fakeDriver(t, spool.Memory{})
	d.host.cfg.Timeouts.Call = time.Millisecond
	fakeLogger(d, "c", nil)
	d.session = fakeSession(t, d, readingProcess(&read))
	info := logdriver.Info{ContainerName: "c"}
	if err := endOf(d.readLogs(t.Context(), &info, logdriver.ReadConfig{Tail: -1, Follow: true})); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("following: %v", err)
	}
	if len(read) > 0 {
		t.Errorf("the loggers %v were followed", read)
	}
	if err := endOf(d.readLogs(t.Context(), &info, logdriver.ReadConfig{Tail: -1})); err != nil || !slices.Equal(read, []uint64{0}) {
		t.Errorf("reading: %v; the loggers %v were read", err, read)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := endOf(d.readLogs(ctx, &info, logdriver.ReadConfig{Tail: -1})); !errors.Is(err, context.Canceled) {
		t.Errorf("reading without time: %v", err)
	}
	d.host.readings.Wait()
}

// TestReadingWhatNoLoggerWrites needs none to be open.
func TestReadingWhatNoLoggerWrites(t *testing.T) {
	t.Parallel()
	var read []uint64
	d := fakeDriver(t, spool.Memory{})
	d.session = fakeSession(t, d, readingProcess(&read))
	fakeLogger(d, "gone", nil).gone = true
	fakeLogger(d, "blind", nil).configure(opened{})
	fakeLogger(d, "other", nil)
	for _, name := range []string{"gone", "blind", "c"} {
		if err := endOf(d.readLogs(t.Context(), &logdriver.Info{ContainerName: name}, logdriver.ReadConfig{Tail: -1, Follow: true})); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(read, []uint64{0, 0, 0}) {
		t.Errorf("the loggers %v were read", read)
	}
	d.host.readings.Wait()
}
