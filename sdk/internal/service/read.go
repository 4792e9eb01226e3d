package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// readFrameBytes is the size above which a frame of read messages leaves.
const readFrameBytes = 64 << 10

// source is a log to read from.
type source struct {
	logdriver.LogReader
	cfg   logdriver.ReadConfig
	close func() error
}

// ReadLogs implements pb.DriverServer.
func (s *Service) ReadLogs(req *pb.ReadLogsRequest, st grpc.ServerStreamingServer[pb.ReadLogsResponse]) error {
	return s.status(s.read(st.Context(), req, st))
}

func (s *Service) read(ctx context.Context, req *pb.ReadLogsRequest, st sender) error {
	if !s.driver.Description.Capability.ReadLogs {
		return logdriver.ErrReadLogsNotSupported
	}
	src, err := s.source(ctx, req)
	if err != nil {
		return err
	}
	var w *logdriver.LogWatcher
	err = s.guard("ReadLogs", func() error {
		w = src.ReadLogs(ctx, src.cfg)
		return nil
	})
	if err == nil && w == nil {
		err = fmt.Errorf("driver %s: ReadLogs returned no watcher; this is a mistake of the driver", s.driver.Description.Name)
	}
	if err != nil {
		s.closeSource(src)
		return err
	}
	ended, err := (&pump{sender: st, gather: !src.cfg.Follow}).run(ctx, w)
	w.Close()
	if ended {
		s.closeSource(src)
		return err
	}
	// The client is gone and waits for nothing; the producer ends in its own time.
	s.tasks.Go(func() {
		for m := range w.Msg {
			logdriver.PutMessage(m)
		}
		s.closeSource(src)
	})
	return err
}

// source finds the log that req asks for.
func (s *Service) source(ctx context.Context, req *pb.ReadLogsRequest) (source, error) {
	cfg := wire.ReadConfigFromProto(req.GetConfig())
	if req.GetInfo() == nil {
		l, err := s.find(req.GetLogger())
		if err != nil {
			return source{}, err
		}
		return source{LogReader: l.reader, cfg: cfg}, nil
	}
	info := wire.InfoFromProto(req.GetInfo())
	if l := s.findLog(&info); l != nil {
		return source{LogReader: l.reader, cfg: cfg}, nil
	}
	release := s.hide(info.Config)
	src, err := s.openSource(ctx, info, cfg)
	if err != nil {
		err = s.secrets.Error(err)
		release()
		return source{}, err
	}
	closeImpl := src.close
	src.close = func() error {
		defer release()
		return s.secrets.Error(closeImpl())
	}
	return src, nil
}

// findLog returns an open logger for the log that info identifies: a second one
// might clash with it, and could not follow it.
func (s *Service) findLog(info *logdriver.Info) *logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loggers {
		// Without an ID, drivers tell logs apart by name.
		same := l.info.ContainerID == info.ContainerID && (info.ContainerID != "" || l.info.Name() == info.Name())
		if same && l.info.LogPath == info.LogPath && maps.Equal(l.info.Config, info.Config) {
			return l
		}
	}
	return nil
}

// openSource opens a log that has no open logger.
func (s *Service) openSource(ctx context.Context, info logdriver.Info, cfg logdriver.ReadConfig) (source, error) {
	if s.driver.OpenReader != nil {
		return s.openReader(ctx, info, cfg)
	}
	impl, err := s.openImpl(ctx, info)
	if err != nil {
		return source{}, err
	}
	reader, ok := impl.(logdriver.LogReader)
	if !ok {
		_ = s.guard("Close", impl.Close)
		return source{}, logdriver.ErrReadLogsNotSupported
	}
	// Nobody logs to this logger, so there is nothing to follow and no end
	// that a follower would see.
	cfg.Follow = false
	return source{reader, cfg, impl.Close}, nil
}

func (s *Service) openReader(ctx context.Context, info logdriver.Info, cfg logdriver.ReadConfig) (source, error) {
	var reader logdriver.LogReader
	err := s.guard("OpenReader", func() error {
		var err error
		reader, err = s.driver.OpenReader(ctx, info)
		return err
	})
	if err == nil && reader == nil {
		err = fmt.Errorf("driver %s: OpenReader returned neither a reader nor an error; this is a mistake of the driver", s.driver.Description.Name)
	}
	if err != nil {
		return source{}, err
	}
	src := source{reader, cfg, func() error { return nil }}
	if c, ok := reader.(io.Closer); ok {
		src.close = c.Close
	}
	return src, nil
}

func (s *Service) closeSource(src source) {
	if src.close == nil {
		return // an open logger's
	}
	if err := s.guard("Close", src.close); err != nil {
		s.log.Warn("cannot close a log after reading", "error", err)
	}
}

// sender is what of a gRPC stream a reading uses.
type sender interface {
	SendHeader(metadata.MD) error
	SendMsg(any) error
}

// pump carries one reading to its client.
type pump struct {
	sender
	resp wire.ReadLogsResponse
	n    uint64 // messages
	// gather makes what is small leave together: headers, messages and the end. A
	// reading that follows may have to wait for long between them.
	gather  bool
	started bool // the headers have been sent, with or without messages
}

// gatherTime is how long headers and a frame that is not full wait for what follows
// them. Each of them wakes up threads in both processes, which takes longer than to
// read a few messages.
const gatherTime = time.Millisecond

// run sends what w delivers. ended tells that the producer has closed w.Msg.
func (p *pump) run(ctx context.Context, w *logdriver.LogWatcher) (ended bool, err error) {
	defer p.resp.Free()
	if !p.gather {
		if err := p.flush(); err != nil {
			return false, err
		}
	}
	for {
		batch, err := p.receive(ctx, w)
		if errors.Is(err, io.EOF) {
			return true, p.finish(w)
		}
		if err != nil {
			return false, err
		}
		for _, m := range batch {
			p.n++
			if err := carriable(m, p.n, p.add); err != nil {
				return false, err
			}
		}
		w.PutBatch(batch)
		// Nobody waits for long for the frame to fill up.
		if !p.gather && !w.Waiting() {
			if err := p.flush(); err != nil {
				return false, err
			}
		}
	}
}

// receive waits for messages. What is gathered leaves if there are none for a while.
func (p *pump) receive(ctx context.Context, w *logdriver.LogWatcher) ([]*logdriver.Message, error) {
	if p.gather && (!p.started || p.resp.Len() > 0) && !w.Waiting() {
		short, cancel := context.WithTimeout(ctx, gatherTime)
		batch, err := w.ReceiveBatch(short, nil)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return batch, err
		}
		if err := p.flush(); err != nil {
			return nil, err
		}
	}
	return w.ReceiveBatch(ctx, nil)
}

// flush sends what there is; at first the headers at least, which tell the host that
// the reading has its place in the log.
func (p *pump) flush() error {
	if p.started || p.resp.Len() > 0 {
		return p.send()
	}
	p.started = true
	return p.SendHeader(nil)
}

func (p *pump) add(m *logdriver.Message) error {
	p.resp.Append(m)
	if p.resp.Len() < readFrameBytes {
		return nil
	}
	return p.send()
}

func (p *pump) send() error {
	if p.resp.Len() == 0 {
		return nil
	}
	p.started = true // messages have headers before them
	if err := p.SendMsg(&p.resp); err != nil {
		return streamError(err)
	}
	return nil
}

// finish sends the rest and returns what the producer ended with.
func (p *pump) finish(w *logdriver.LogWatcher) error {
	if err := p.send(); err != nil {
		return err
	}
	select {
	case err := <-w.Err:
		return err
	default:
		return nil
	}
}
