package host

import (
	"errors"
	"slices"
	"testing"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestOpenInAProcessThatIsReplaced goes on in the new one. What the old one has opened
// is closed before: the new one could not have it.
func TestOpenInAProcessThatIsReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		resp   *pb.OpenResponse
		err    error
		closed []uint64
	}{
		"it refuses": {err: status.Error(codes.Unavailable, "the driver is being drained")},
		"it opens":   {resp: &pb.OpenResponse{Logger: 7}, closed: []uint64{7}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := fakeDriver(t, spool.Memory{})
			l := unknownLogger(d, "c", nil)
			var old, next *session
			late := &fakeProcess{}
			late.open = func(string) (*pb.OpenResponse, error) {
				if err := d.moveAll(old, next); err != nil {
					t.Error(err)
				}
				if c.err != nil {
					old.fail(errUpgraded) // as stop does
				}
				return c.resp, c.err
			}
			var held []uint64 // by the old process, when the new one opened the logger
			old, next = fakeSession(t, d, late), fakeSession(t, d, &fakeProcess{open: func(string) (*pb.OpenResponse, error) {
				held = slices.Clone(late.closed)
				return &pb.OpenResponse{Logger: 1}, nil
			}})
			d.session = old
			if err := d.openLogger(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			if !l.attachedTo(next) {
				t.Error("the logger is not open in the new process")
			}
			if !slices.Equal(held, c.closed) {
				t.Errorf("the old process had closed %v, want %v", held, c.closed)
			}
		})
	}
}

// TestOpenWhileTheHostIsClosed: nobody would shut down what is opened when Close has
// looked for loggers.
func TestOpenWhileTheHostIsClosed(t *testing.T) {
	t.Parallel()
	d := fakeDriver(t, spool.Memory{})
	l, cache := unknownLogger(d, "c", nil), unknownLogger(d, "cache", nil)
	p := &fakeProcess{open: func(string) (*pb.OpenResponse, error) {
		d.host.mu.Lock()
		defer d.host.mu.Unlock()
		d.host.closed = true
		return &pb.OpenResponse{Logger: 7}, nil
	}}
	d.session = fakeSession(t, d, p)
	if err := d.openLogger(t.Context(), l); !errors.Is(err, errHostClosed) {
		t.Errorf("opening: %v", err)
	}
	d.openSoon(cache)
	if err := cache.Log(logdriver.NewMessage()); !errors.Is(err, logdriver.ErrClosed) {
		t.Errorf("logging to one that is opened later: %v", err)
	}
	if !slices.Equal(p.closed, []uint64{7}) {
		t.Errorf("the process has closed %v", p.closed)
	}
	if left := d.unfinished(); len(left) > 0 {
		t.Errorf("%d loggers are left", len(left))
	}
}
