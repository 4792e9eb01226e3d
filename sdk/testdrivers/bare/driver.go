package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"google.golang.org/grpc/codes"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

// windowBytes is what a logger buffers.
const windowBytes = 1 << 20

// driver implements the service logplug.v1.Driver.
type driver struct {
	pb.UnimplementedDriverServer
	acks acks

	mu      sync.Mutex
	loggers map[uint64]*logger
	last    uint64 // the last number that was given
}

func newDriver() *driver {
	return &driver{acks: acks{due: map[uint64]*pb.Ack{}, wake: make(chan struct{}, 1)}, loggers: map[uint64]*logger{}}
}

func (d *driver) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return description, nil
}

func (d *driver) Open(_ context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	info := req.GetInfo()
	if err := checkOptions(info.GetConfig()); err != nil {
		return nil, err
	}
	log, err := openLog(info.GetLogPath(), true)
	if errors.Is(err, errBusy) {
		return nil, failure(codes.FailedPrecondition, &pb.Error{Kind: pb.Error_KIND_LOG_BUSY},
			fmt.Sprintf("open %s: %v: close it first", info.GetLogPath(), err))
	}
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	l := newLogger(d.last, log, info.GetStream(), &d.acks)
	d.loggers[l.id] = l
	return &pb.OpenResponse{
		Logger: l.id, LastSeq: l.received, WindowBytes: windowBytes, Capability: description.Capability,
	}, nil
}

// writes returns the open logger that writes the log at path. d.mu is held.
func (d *driver) writes(path string) *logger {
	for _, l := range d.loggers {
		if l.log.path == path {
			return l
		}
	}
	return nil
}

func (d *driver) logger(id uint64) (*logger, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.loggers[id]; l != nil {
		return l, nil
	}
	return nil, unknownLogger(id)
}

func (d *driver) Flush(_ context.Context, req *pb.FlushRequest) (*pb.FlushResponse, error) {
	l, err := d.logger(req.GetLogger())
	if err != nil {
		return nil, err
	}
	if err := l.log.sync(); err != nil {
		return nil, fmt.Errorf("flush %s: %w", l.log.path, err)
	}
	return &pb.FlushResponse{}, nil
}

func (d *driver) Close(ctx context.Context, req *pb.CloseRequest) (*pb.CloseResponse, error) {
	l, err := d.logger(req.GetLogger())
	if err != nil {
		return nil, err
	}
	if err := d.close(ctx, l); err != nil {
		return nil, err
	}
	return &pb.CloseResponse{}, nil
}

// close ends l's number once its log can be opened again.
func (d *driver) close(ctx context.Context, l *logger) error {
	err := l.close(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.loggers, l.id)
	return err
}

func (d *driver) Drain(ctx context.Context, _ *pb.DrainRequest) (*pb.DrainResponse, error) {
	d.mu.Lock()
	open := make([]*logger, 0, len(d.loggers))
	for _, l := range d.loggers {
		open = append(open, l)
	}
	d.mu.Unlock()
	var errs []error
	for _, l := range open {
		errs = append(errs, d.close(ctx, l))
	}
	return &pb.DrainResponse{}, errors.Join(errs...)
}

// log finds what a request wants to read. follow tells that it can grow.
func (d *driver) log(req *pb.ReadLogsRequest) (log *logFile, follow bool, err error) {
	if req.GetInfo() == nil {
		l, err := d.logger(req.GetLogger())
		if err != nil {
			return nil, false, err
		}
		return l.log, true, nil
	}
	path := req.GetInfo().GetLogPath()
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.writes(path); l != nil {
		return l.log, true, nil
	}
	log, err = openLog(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		err = failure(codes.NotFound, &pb.Error{Kind: pb.Error_KIND_NO_LOG}, "read "+path+": nobody has written this log")
	}
	return log, false, err
}
