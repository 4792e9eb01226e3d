//go:build linux

package serve

import (
	"context"

	"github.com/logplug/logplug/host/cmd/logplug/internal/containerd"
)

// finishEnded ends the jobs of containers that had ended when an earlier server was killed.
func (s *Server) finishEnded() {
	ended, err := containerd.Ended(s.cfg.Store)
	if err != nil {
		s.cfg.Logger.Warn("containers that have ended", "error", err)
	}
	for i := range ended {
		s.wg.Go(func() {
			if err := s.finish(&ended[i]); err != nil {
				s.cfg.Logger.Warn("the end of a container cannot be noted", "job", ended[i].ID, "error", err)
			}
		})
	}
}

// finish waits until the driver has what the job's container left, as at the end of any other.
func (s *Server) finish(job *containerd.EndedJob) (err error) {
	cfg := containerd.Config{
		Host: s.cfg.Host, Store: s.cfg.Store, CloseTimeout: s.cfg.CloseTimeout,
		Job: job.Job, PID: job.CommandPID, Ended: true, Missing: job.Missing,
	}
	if cfg.Pipes, err = containerd.EndedPipes(); err != nil {
		discard(&cfg)
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, openTimeout)
	defer cancel()
	session, err := containerd.Open(ctx, cfg)
	if err != nil {
		discard(&cfg)
		return err
	}
	stop := context.AfterFunc(s.ctx, func() { s.interrupt(session) })
	defer stop()
	s.end(session, job.ID, session.Run(s.ctx))
	return nil
}
