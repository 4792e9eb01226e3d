package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host/internal/launch"
	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc"
)

// fakeProcess answers what a driver's process is asked.
type fakeProcess struct {
	pb.DriverClient
	open  func(name string) (*pb.OpenResponse, error)
	flush func(id uint64) error
	read  func(id uint64) *fakeReading

	mu     sync.Mutex
	closed []uint64
}

func (p *fakeProcess) Open(_ context.Context, r *pb.OpenRequest, _ ...grpc.CallOption) (*pb.OpenResponse, error) {
	return p.open(r.GetInfo().GetContainerName())
}

func (p *fakeProcess) Close(_ context.Context, r *pb.CloseRequest, _ ...grpc.CallOption) (*pb.CloseResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = append(p.closed, r.GetLogger())
	return &pb.CloseResponse{}, nil
}

func (p *fakeProcess) Flush(_ context.Context, r *pb.FlushRequest, _ ...grpc.CallOption) (*pb.FlushResponse, error) {
	return &pb.FlushResponse{}, p.flush(r.GetLogger())
}

func (p *fakeProcess) ReadLogs(_ context.Context, r *pb.ReadLogsRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[pb.ReadLogsResponse], error) {
	return p.read(r.GetLogger()), nil
}

func opens(id uint64) func(string) (*pb.OpenResponse, error) {
	return func(string) (*pb.OpenResponse, error) { return &pb.OpenResponse{Logger: id}, nil }
}

func opensNothing(string) (*pb.OpenResponse, error) { return nil, errors.New("it cannot be opened") }

// fakeDriver is a driver that nobody supervises, whose host keeps messages in store.
func fakeDriver(t testing.TB, store spool.Store) *driver {
	t.Helper()
	cfg, err := Config{Logger: hclog.NewNullLogger()}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{cfg: cfg, spool: &spooling{store: store, log: cfg.Logger, full: fullDisk{log: cfg.Logger}}}
	for _, r := range []*room{&h.room, &h.cacheRoom} {
		r.maxBytes, r.maxMessages = int64(cfg.Spool.HostBytes), int64(cfg.Spool.HostMessages)
	}
	return &driver{
		host: h, name: "fake", log: cfg.Logger, ctx: t.Context(), upgrades: make(chan struct{}, 1),
		loggers: make(map[*logger]struct{}), ending: make(map[*logger]struct{}), past: newPast(),
	}
}

// fakeLogger is one of d's loggers.
func fakeLogger(d *driver, name string, change func(*request)) *logger {
	l := unknownLogger(d, name, change)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addLocked(l)
	return l
}

// unknownLogger is one that d is to open.
func unknownLogger(d *driver, name string, change func(*request)) *logger {
	r := request{info: logdriver.Info{ContainerName: name}, overflow: overflow{bytes: d.host.cfg.Spool.LoggerBytes}}
	if change != nil {
		change(&r)
	}
	return newLogger(d, &r, spool.Stream{}, d.host.spool.newQueue(spool.Stream{}))
}

// fakeSession is connected to p. Nothing is sent.
func fakeSession(t *testing.T, d *driver, p *fakeProcess) *session {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &session{
		driver: d, proc: &launch.Process{}, client: p, ctx: ctx, cancel: cancel,
		loggers: make(map[uint64]*logger), wake: make(chan struct{}, 1), suspect: make(chan struct{}, 1),
	}
	s.readers, s.endReaders = context.WithCancelCause(ctx)
	t.Cleanup(func() {
		s.fail(errHostClosed)
		s.wait()
	})
	return s
}

// TestOpeningInAProcessThatIsReplaced: a logger that the old process opens late stays
// with the new one.
func TestOpeningInAProcessThatIsReplaced(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	slow := &fakeProcess{open: func(string) (*pb.OpenResponse, error) {
		close(began)
		<-finish
		return &pb.OpenResponse{Logger: 7}, nil
	}}
	d := fakeDriver(t, spool.Memory{})
	l := fakeLogger(d, "c", nil)
	old, next := fakeSession(t, d, slow), fakeSession(t, d, &fakeProcess{open: opens(1)})
	old.wg.Go(func() { d.reopenLogger(old, l, nil) })
	<-began
	if err := d.moveAll(old, next); err != nil {
		t.Fatal(err)
	}
	if !l.attachedTo(next) {
		t.Fatal("the logger was not moved")
	}
	close(finish)
	old.wg.Wait()
	if !l.attachedTo(next) {
		t.Error("the logger has gone back to the old process")
	}
	if !slices.Equal(slow.closed, []uint64{7}) {
		t.Errorf("the old process has closed %v, want its late logger", slow.closed)
	}
}

// TestUpgradeWithALoggerThatCannotBeOpened in either process: that is no reason to
// refuse the new one.
func TestUpgradeWithALoggerThatCannotBeOpened(t *testing.T) {
	d := fakeDriver(t, spool.Memory{})
	bad := fakeLogger(d, "bad", nil)
	old, next := fakeSession(t, d, &fakeProcess{open: opensNothing}), fakeSession(t, d, &fakeProcess{open: opensNothing})
	if err := d.moveAll(old, next); err != nil {
		t.Fatal(err)
	}
	if d.session != next {
		t.Error("the old process goes on")
	}
	if st := bad.Stats(); !strings.Contains(st.Blocked, "it cannot be opened") {
		t.Errorf("the logger is blocked: %q", st.Blocked)
	}
}

// TestRefusedUpgradeDoesNotWait for the logger that is opened again in the old
// process.
func TestRefusedUpgradeDoesNotWait(t *testing.T) {
	finish := make(chan struct{})
	d := fakeDriver(t, spool.Memory{})
	l := fakeLogger(d, "c", nil)
	old := fakeSession(t, d, &fakeProcess{open: func(string) (*pb.OpenResponse, error) {
		<-finish
		return &pb.OpenResponse{Logger: 2}, nil
	}})
	next := fakeSession(t, d, &fakeProcess{open: opensNothing})
	if err := old.adopt(t.Context(), l, opened{id: 1, window: minWindowBytes}); err != nil {
		t.Fatal(err)
	}
	if err := d.moveAll(old, next); err == nil || !strings.Contains(err.Error(), "it cannot be opened") {
		t.Fatalf("moving: %v", err)
	}
	close(finish)
	old.wg.Wait()
	if !l.attachedTo(old) {
		t.Error("the logger is not open in the old process")
	}
}

// TestLateCacheThatCannotRead: where the driver of a cache was not there when the cache
// was to be opened, it is checked later.
func TestLateCacheThatCannotRead(t *testing.T) {
	d := fakeDriver(t, spool.Memory{})
	cache := fakeLogger(d, "c", func(r *request) { r.cacheOf = "sink" })
	blind := &fakeProcess{open: opens(3)}
	d.reopenLogger(fakeSession(t, d, blind), cache, nil)
	st := cache.Stats()
	if cache.session != nil || !strings.Contains(st.Blocked, "driver fake cannot read") {
		t.Errorf("the cache is attached to %v and blocked: %q", cache.session, st.Blocked)
	}
	if !slices.Equal(blind.closed, []uint64{3}) {
		t.Errorf("the process has closed %v", blind.closed)
	}
}
