package host

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// fakeReading is a stream without messages.
type fakeReading struct {
	grpc.ServerStreamingClient[pb.ReadLogsResponse]
	header metadata.MD
	ended  <-chan struct{}
	err    error // that it ends with
}

func (r *fakeReading) Header() (metadata.MD, error) { return r.header, nil }

func (r *fakeReading) RecvMsg(any) error {
	<-r.ended
	return r.err
}

// endsWith returns a stream that has ended, without headers if that is for an error.
func endsWith(err error) *fakeReading {
	ended := make(chan struct{})
	close(ended)
	if errors.Is(err, io.EOF) {
		return &fakeReading{header: metadata.MD{}, ended: ended, err: err}
	}
	return &fakeReading{ended: ended, err: err}
}

// moves are what happens to a logger that is number 1 in old.
var moves = map[string]func(t *testing.T, l *logger, old, next *session){
	"moved": func(t *testing.T, l *logger, old, next *session) {
		l.pause(t.Context(), old)
		next.wg.Go(func() {
			if err := next.openAgain(next.ctx, l); err != nil {
				t.Error(err)
			}
		})
	},
	"opened again": func(t *testing.T, l *logger, old, _ *session) {
		l.pause(t.Context(), old)
		if err := old.adopt(t.Context(), l, opened{id: 2, window: minWindowBytes}); err != nil {
			t.Error(err)
		}
	},
}

// whileMoved makes a logger that moves when its process is called for it.
func whileMoved(t *testing.T, move func(t *testing.T, l *logger, old, next *session)) (l *logger, calls *[]uint64) {
	d := fakeDriver(t, spool.Memory{})
	l = fakeLogger(d, "c", nil)
	calls = new([]uint64)
	var old, next *session
	call := func(id uint64) error {
		*calls = append(*calls, id)
		if id > 1 {
			return nil
		}
		move(t, l, old, next)
		return wire.ToStatus(wire.ErrUnknownLogger)
	}
	p := &fakeProcess{open: opens(2), flush: call, read: func(id uint64) *fakeReading {
		if err := call(id); err != nil {
			return endsWith(err)
		}
		return endsWith(io.EOF)
	}}
	old, next = fakeSession(t, d, p), fakeSession(t, d, p)
	if err := old.adopt(t.Context(), l, opened{id: 1, window: minWindowBytes}); err != nil {
		t.Fatal(err)
	}
	return l, calls
}

// TestCallsWhileALoggerIsMoved wait for it, instead of failing because it is not where
// it was a moment ago.
func TestCallsWhileALoggerIsMoved(t *testing.T) {
	t.Parallel()
	for what, call := range map[string]func(*testing.T, *logger) error{
		"flush": func(t *testing.T, l *logger) error { return l.Flush(t.Context()) },
		"read": func(t *testing.T, l *logger) error {
			return endOf(readingLogger{l}.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1}))
		},
	} {
		for name, move := range moves {
			t.Run(what+" "+name, func(t *testing.T) {
				t.Parallel()
				l, calls := whileMoved(t, move)
				if err := call(t, l); err != nil {
					t.Error(err)
				}
				l.driver.host.readings.Wait()
				if !slices.Equal(*calls, []uint64{1, 2}) {
					t.Errorf("the driver was asked for the loggers %v", *calls)
				}
			})
		}
	}
}

// TestFollowerOfARefusedUpgrade: the logger was closed for it, and is open again.
func TestFollowerOfARefusedUpgrade(t *testing.T) {
	t.Parallel()
	d := fakeDriver(t, spool.Memory{})
	l := fakeLogger(d, "c", nil)
	ended := make(chan struct{})
	old := fakeSession(t, d, &fakeProcess{open: opens(2), read: func(uint64) *fakeReading {
		return &fakeReading{header: metadata.MD{}, ended: ended, err: io.EOF}
	}})
	if err := old.adopt(t.Context(), l, opened{id: 1, window: minWindowBytes}); err != nil {
		t.Fatal(err)
	}
	w := readingLogger{l}.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	if err := d.moveAll(old, fakeSession(t, d, &fakeProcess{open: opensNothing})); err == nil {
		t.Fatal("the upgrade was not refused")
	}
	close(ended)
	if err := endOf(w); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("the reading ended with %v", err)
	}
	d.host.readings.Wait()
}
