package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/logplug/logplug/sdk/remote"
)

// stallTime is how long journald may take no message before that is an error.
const stallTime = 5 * time.Second

// openWait bounds how long Open waits for a journald that does not get on.
const openWait = 200 * time.Millisecond

// socket is a connection to journald's native socket. It is not safe for
// concurrent use.
type socket struct {
	path  string
	stall time.Duration // instead of stallTime, in tests
	conn  *net.UnixConn // nil while there is none
}

// patience is how long journald may take no message.
func (s *socket) patience() time.Duration { return cmp.Or(s.stall, stallTime) }

func (s *socket) dial() error {
	if s.conn != nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("connect to journald: %w", err)
	}
	s.conn = conn
	return nil
}

func (s *socket) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// send hands one datagram to journald, waiting for room in its queue. After an error
// the connection is closed if it is of no more use.
func (s *socket) send(ctx context.Context, b []byte) error {
	err := s.write(ctx, b, nil)
	if errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.ENOBUFS) {
		err = s.sendFile(ctx, b)
	}
	return err
}

// sendFile hands over what is too large for a datagram, in a sealed memory file.
func (s *socket) sendFile(ctx context.Context, b []byte) error {
	f, err := sealedFile(b)
	if err != nil {
		return fmt.Errorf("send a large entry to journald: %w", err)
	}
	defer f.Close()
	return s.write(ctx, nil, syscall.UnixRights(int(f.Fd())))
}

// touch hands over an empty datagram, which journald takes and ignores.
func (s *socket) touch(ctx context.Context) error { return s.write(ctx, nil, nil) }

func (s *socket) write(ctx context.Context, b, rights []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.patience())); err != nil {
		return err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = s.conn.SetWriteDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-interrupted // it must not cut the next write short
		}
	}()
	err := s.sendmsg(b, rights)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("send to journald: %w", context.Cause(ctx))
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTCONN), errors.Is(err, syscall.ECONNRESET):
		s.close()
		return fmt.Errorf("send to journald: it has gone away: %w", err)
	case isTimeout(err):
		return fmt.Errorf("send to journald: it has taken nothing for %v: %w", s.patience(), err)
	}
	return fmt.Errorf("send to journald: %w", err)
}

// sendmsg is what net.UnixConn does not offer for connected sockets.
func (s *socket) sendmsg(b, rights []byte) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Write(func(fd uintptr) (done bool) {
		for {
			serr = syscall.Sendmsg(int(fd), b, rights, nil, 0)
			if serr != syscall.EINTR {
				return serr != syscall.EAGAIN
			}
		}
	})
	return errors.Join(err, serr)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// settle waits until journald has dealt with everything that is in its queue now.
func (s *socket) settle(ctx context.Context) error {
	if err := s.dial(); err != nil {
		return err
	}
	if err := s.touch(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	for p := new(pause); ; {
		n, err := remote.Unsent(s.conn)
		if err != nil {
			return fmt.Errorf("ask for journald's queue: %w", err)
		}
		if n == 0 {
			return nil
		}
		if p.wait(ctx) != nil {
			return fmt.Errorf("wait for journald: it has left messages in its queue for %v", s.patience())
		}
	}
}

// pause waits for a little longer each time.
type pause struct{ next time.Duration }

const (
	minPause = 50 * time.Microsecond
	maxPause = 2 * time.Millisecond
)

func (p *pause) wait(ctx context.Context) error {
	p.next = min(max(p.next*3/2, minPause), maxPause)
	return remote.Sleep(ctx, p.next)
}
