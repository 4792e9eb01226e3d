//go:build linux

package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/carry"
	"github.com/logplug/logplug/host/cmd/logplug/internal/containerd"
	"github.com/logplug/logplug/host/cmd/logplug/internal/handover"
	"github.com/logplug/logplug/shared/wire"
	"golang.org/x/sys/unix"
)

// errNotTaken ends a connection without a refusal: its client does not want to be served any
// more, or is to look for another logplug.
var errNotTaken = errors.New("the container is not taken")

// client serves one connection.
func (s *Server) client(conn *net.UnixConn) {
	defer conn.Close()
	session, label, err := s.admit(conn)
	switch {
	case errors.Is(err, errNotTaken):
		s.cfg.Logger.Debug("a container is not taken", "container", label, "error", err)
	case err != nil:
		s.cfg.Logger.Error("a container is not logged", "container", label, "error", err)
		text := append([]byte{handover.Refused}, err.Error()...)
		_, _ = conn.Write(text[:min(len(text), maxReason)]) // the client may be gone
	default:
		s.log(conn, session, label)
	}
}

// maxReason bounds the text of a refusal.
const maxReason = 1000

// admit opens the log that a client asks for, and returns once the pipes may be read.
// Its number of clients at a time is bounded.
func (s *Server) admit(conn *net.UnixConn) (session *containerd.Session, label string, err error) {
	select {
	case s.clients <- struct{}{}:
		defer func() { <-s.clients }()
	case <-s.ctx.Done():
		return nil, "", errNotTaken
	}
	peer, err := openPeer(conn)
	if err != nil {
		return nil, "", err
	}
	defer peer.close()
	_ = conn.SetDeadline(time.Now().Add(requestTimeout)) // fails on a closed connection, as reading will
	request, files, err := receive(conn)
	if err != nil {
		return nil, "", err
	}
	label = request.Namespace + "/" + request.ID
	cfg, err := s.session(&request, files)
	if err != nil {
		return nil, label, err
	}
	cfg.PID = peer.pid
	ctx, cancel := context.WithTimeout(s.ctx, openTimeout)
	defer cancel()
	session, err = containerd.Open(ctx, cfg)
	if err != nil {
		discard(&cfg)
		return nil, label, s.refusal(err)
	}
	running := len(files) == handover.MaxFiles
	if err := s.agree(conn, session); err != nil && !(running && peer.dead()) {
		session.Abandon()
		return nil, label, errNotTaken
	}
	return session, label, nil
}

// refusal is why a log could not be opened. What another logplug may well succeed in is no
// reason to refuse a container: its client tries again, or works alone.
func (s *Server) refusal(err error) error {
	if s.ctx.Err() != nil || errors.Is(err, wire.ErrUnavailable) {
		return fmt.Errorf("%w: %w", errNotTaken, err)
	}
	return err
}

// receive returns a request with its files. A client that sends none wanted to know
// whether there is a server.
func receive(conn *net.UnixConn) (r handover.Request, files []int, err error) {
	buf := make([]byte, handover.MaxPacket+1)
	oob := make([]byte, unix.CmsgSpace(4*handover.MaxFiles))
	n, oobn, flags, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil || n == 0 {
		return r, nil, errNotTaken
	}
	files, err = handover.Files(oob[:oobn])
	for _, fd := range files {
		unix.CloseOnExec(fd)
	}
	if err == nil && flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0 {
		err = errors.New("the request is too large")
	}
	if err == nil && (len(files) < 2 || len(files) > handover.MaxFiles) {
		err = fmt.Errorf("the request has %d files; want the two pipes, and the carry file if there is one", len(files))
	}
	if err == nil {
		r, err = handover.Unmarshal(buf[:n])
	}
	if err != nil {
		handover.CloseAll(files)
	}
	return r, files, err
}

// session returns what a session needs. It takes the files.
func (s *Server) session(r *handover.Request, files []int) (cfg containerd.Config, err error) {
	cfg = containerd.Config{Host: s.cfg.Host, Store: s.cfg.Store, CloseTimeout: s.cfg.CloseTimeout}
	if len(files) == handover.MaxFiles {
		// One of another version, or worse: what it holds is lost, the container goes on.
		if cfg.Carry, cfg.Lacks = carry.Open(files[2]); cfg.Lacks != nil {
			s.cfg.Logger.Error("what an earlier logplug serve had read is lost", "container", r.ID, "error", cfg.Lacks)
		}
	}
	for i := range cfg.Pipes {
		if cfg.Pipes[i], err = containerd.OpenPipe(files[i], containerd.Sources[i]); err != nil {
			handover.CloseAll(files[i:2])
			discard(&cfg)
			return cfg, err
		}
	}
	if cfg.Job, err = s.cfg.Job(r); err != nil {
		discard(&cfg)
	}
	return cfg, err
}

// discard closes what a session would have had.
func discard(cfg *containerd.Config) {
	for _, p := range cfg.Pipes {
		if p != nil {
			_ = p.Close()
		}
	}
	if cfg.Carry != nil {
		_ = cfg.Carry.Close()
	}
}

// agree tells the client that its pipes are wanted, and waits for its Go. A client that
// was killed before, of a container that was logged already, says neither yes nor no,
// and nobody else can take the pipes.
func (s *Server) agree(conn *net.UnixConn, session *containerd.Session) error {
	_ = conn.SetDeadline(time.Now().Add(requestTimeout))
	if _, _, err := conn.WriteMsgUnix([]byte{handover.Ready}, unix.UnixRights(session.CarryFD()), nil); err != nil {
		return err
	}
	var answer [1]byte
	if n, err := conn.Read(answer[:]); err != nil || n == 0 || answer[0] != handover.Go {
		return errNotTaken
	}
	return nil
}

// log logs a container to its end. That its client goes away does not matter: the
// pipes are here.
func (s *Server) log(conn *net.UnixConn, session *containerd.Session, label string) {
	s.cfg.Logger.Debug("container is logged", "container", label)
	stop := context.AfterFunc(s.ctx, func() { s.interrupt(session) })
	defer stop()
	ended := session.Run(s.ctx)
	if ended {
		if err := session.NoteEnd(); err != nil { // needed only if this process is killed now
			s.cfg.Logger.Debug("the end of a container is not noted", "container", label, "error", err)
		}
		_ = conn.SetDeadline(time.Now().Add(requestTimeout))
		_, _ = conn.Write([]byte{handover.Done}) // nobody waits if this fails
	}
	s.end(session, label, ended)
}

func (s *Server) end(session *containerd.Session, label string, ended bool) {
	if err := session.Close(ended); err != nil {
		s.cfg.Logger.Error("the log of a container is not complete", "container", label, "error", err)
	}
	s.cfg.Logger.Debug("container is not logged any more", "container", label, "ended", ended)
}

// interrupt makes a session end that waits for its driver.
func (s *Server) interrupt(session *containerd.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	session.Interrupt(ctx)
}
