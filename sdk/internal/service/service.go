// Package service serves the Driver gRPC service for the loggers of one
// driver.
//
// Each logger has a queue of received batches, bounded by its window, and a
// worker that hands them to the driver's code while there is something in the
// queue: in a goroutine of its own or, where that was quick before, in the one that
// receives. Acknowledgements of all loggers leave together.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logplug/logplug/sdk/internal/redact"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/codes"
)

// DefaultWindowBytes is a logger's window where Config gives none: 2 MiB.
const DefaultWindowBytes = 2 << 20

// Driver is what the service needs of a driver.
type Driver struct {
	Description logdriver.Description
	// Open starts a logger.
	Open func(context.Context, logdriver.Info) (logdriver.Logger, error)
	// OpenReader, if not nil, opens a log for reading only. A reader that is
	// an io.Closer is closed after use.
	OpenReader func(context.Context, logdriver.Info) (logdriver.LogReader, error)
	// Secrets returns the values of secret options in a configuration; may be
	// nil.
	Secrets func(config map[string]string) []string
}

// Config configures a Service.
type Config struct {
	Driver Driver
	// WindowBytes bounds the encoded entries that one logger may have received
	// and not acknowledged.
	WindowBytes int
	// Log takes what the service has to say; nil for slog.Default().
	Log *slog.Logger
	// Secrets masks secret values; nil for a Set of the service's own.
	Secrets *redact.Set
	// BackoffMin and BackoffMax bound the time between attempts to store a
	// batch: 50 ms to 5 s where they are 0.
	BackoffMin, BackoffMax time.Duration
}

// Service implements the Driver gRPC service.
type Service struct {
	pb.UnimplementedDriverServer

	driver  Driver
	window  int
	log     *slog.Logger
	secrets *redact.Set
	backoff backoffRange

	acks    *ackQueue
	buffers buffers
	workers sync.Pool    // of *worker
	working atomic.Int64 // workers that run
	tasks   tasks

	mu       sync.Mutex
	loggers  map[uint64]*logger
	lastID   uint64
	draining bool
	stream   *writeStream     // the newest one
	socket   *net.UnixConn    // for a stream; nil if there is none, or once it is used
	view     *wire.SharedView // where messages of it may be; nil if there is none
}

// New returns a service without loggers. DrainAll and Wait end it.
func New(cfg Config) *Service {
	if cfg.WindowBytes <= 0 {
		cfg.WindowBytes = DefaultWindowBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Secrets == nil {
		cfg.Secrets = new(redact.Set)
	}
	return &Service{
		driver:  cfg.Driver,
		window:  cfg.WindowBytes,
		log:     cfg.Log,
		secrets: cfg.Secrets,
		backoff: newBackoffRange(cfg.BackoffMin, cfg.BackoffMax),
		acks:    newAckQueue(cfg.WindowBytes),
		buffers: newBuffers(),
		workers: sync.Pool{New: func() any { return new(worker) }},
		loggers: make(map[uint64]*logger),
	}
}

// Describe implements pb.DriverServer.
func (s *Service) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return wire.DescriptionToProto(&s.driver.Description), nil
}

// Open implements pb.DriverServer.
func (s *Service) Open(ctx context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	l, err := s.open(ctx, wire.InfoFromProto(req.GetInfo()))
	if err != nil {
		return nil, s.status(err)
	}
	return &pb.OpenResponse{
		Logger:      l.id,
		LastSeq:     l.lastSeq,
		WindowBytes: uint64(s.window),
		BufSize:     uint32(l.bufSize),
		Capability:  wire.CapabilityToProto(logdriver.Capability{ReadLogs: l.reader != nil}),
	}, nil
}

func (s *Service) open(ctx context.Context, info logdriver.Info) (*logger, error) {
	release := s.hide(info.Config)
	impl, err := s.openImpl(ctx, info)
	if err != nil {
		err = s.secrets.Error(err)
		release()
		return nil, err
	}
	l, err := s.newLogger(info, impl, release)
	if err == nil {
		// Whoever asked has gone: nobody would ever close this logger.
		err = ctx.Err()
	}
	if err == nil {
		err = s.register(l)
	}
	if err != nil {
		err = errors.Join(err, s.secrets.Error(s.guard("Close", impl.Close)))
		release()
		return nil, err
	}
	return l, nil
}

func (s *Service) openImpl(ctx context.Context, info logdriver.Info) (impl logdriver.Logger, err error) {
	err = s.guard("Open", func() error {
		var err error
		impl, err = s.driver.Open(ctx, info)
		return err
	})
	if err == nil && impl == nil {
		err = fmt.Errorf("driver %s: Open returned neither a logger nor an error; this is a mistake of the driver", s.driver.Description.Name)
	}
	return impl, err
}

var errDraining error = &rpcError{codes.Unavailable, "the driver is being drained and takes no further loggers; open the logger in a new driver process"}

func (s *Service) register(l *logger) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return errDraining
	}
	s.lastID++
	l.id = s.lastID
	s.loggers[l.id] = l
	return nil
}

// find returns an open logger.
func (s *Service) find(id uint64) (*logger, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.loggers[id]; l != nil {
		return l, nil
	}
	return nil, fmt.Errorf("%w %d: it was closed, or never opened in this process", wire.ErrUnknownLogger, id)
}

// remove takes an open logger out of the table: it is the caller's to close.
func (s *Service) remove(id uint64) (*logger, error) {
	l, err := s.find(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loggers[id] != l {
		return nil, fmt.Errorf("%w %d: it is being closed", wire.ErrUnknownLogger, id)
	}
	delete(s.loggers, id)
	return l, nil
}

// all returns the open loggers, in no order.
func (s *Service) all() []*logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*logger, 0, len(s.loggers))
	for _, l := range s.loggers {
		all = append(all, l)
	}
	return all
}

// Flush implements pb.DriverServer.
func (s *Service) Flush(ctx context.Context, req *pb.FlushRequest) (*pb.FlushResponse, error) {
	l, err := s.find(req.GetLogger())
	if err == nil {
		err = l.flush(ctx)
	}
	return &pb.FlushResponse{}, s.status(err)
}

// Close implements pb.DriverServer. Messages that arrive after it has begun are
// ignored: a host closes a logger when it wants no more acknowledgements.
func (s *Service) Close(ctx context.Context, req *pb.CloseRequest) (*pb.CloseResponse, error) {
	l, err := s.remove(req.GetLogger())
	if err == nil {
		err = l.close(ctx)
		s.flushAcks(ctx)
	}
	return &pb.CloseResponse{}, s.status(err)
}

// Drain implements pb.DriverServer.
func (s *Service) Drain(ctx context.Context, _ *pb.DrainRequest) (*pb.DrainResponse, error) {
	return &pb.DrainResponse{}, s.status(s.drain(ctx))
}

// drain closes all loggers, each at its own pace: one that is stuck takes
// nothing from the others.
func (s *Service) drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, l := range s.all() {
		if _, err := s.remove(l.id); err != nil {
			continue // Close was faster
		}
		wg.Go(func() {
			if err := l.close(ctx); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s.flushAcks(ctx)
	return errors.Join(errs...)
}

// DrainAll is Drain for the process itself.
func (s *Service) DrainAll(ctx context.Context) error {
	return s.secrets.Error(s.drain(ctx))
}

// Wait returns nil once all goroutines of the service have ended. That takes
// the end of the streams, and DrainAll before.
func (s *Service) Wait(ctx context.Context) error {
	if err := s.tasks.Wait(ctx); err != nil {
		return fmt.Errorf("wait for the driver's loggers and readers to end: %w", err)
	}
	return nil
}

// hide masks the secrets of config from now on.
func (s *Service) hide(config map[string]string) (release func()) {
	if s.driver.Secrets == nil {
		return func() {}
	}
	return s.secrets.Add(s.driver.Secrets(config))
}
