// Package rawsocket is the limit that a path between two processes can come
// near to: length-prefixed messages through a unix socket in writes of 64 KiB,
// with nothing else around them.
package rawsocket

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	bufferBytes = 64 << 10
	headerBytes = 4
	stampBytes  = 8
	// mark in place of a length asks the reader for an answer.
	mark = ^uint32(0)
)

// Sender is the writing side, with the reader's process.
type Sender struct {
	conn net.Conn
	out  *bufio.Writer
	cmd  *exec.Cmd
}

// Start starts cmd, which must call Serve with the path that command is given.
func Start(dir string, command func(socket string) *exec.Cmd) (*Sender, error) {
	path := filepath.Join(dir, "raw.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	s := &Sender{cmd: command(path)}
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the reader: %w", err)
	}
	if s.conn, err = listener.Accept(); err != nil {
		return nil, err
	}
	s.out = bufio.NewWriterSize(s.conn, bufferBytes)
	return s, nil
}

// Pid returns the reader's process.
func (s *Sender) Pid() int { return s.cmd.Process.Pid }

// Send writes one message.
func (s *Sender) Send(stamp time.Time, line []byte) error {
	var head [headerBytes + stampBytes]byte
	binary.BigEndian.PutUint32(head[:], uint32(stampBytes+len(line)))
	binary.BigEndian.PutUint64(head[headerBytes:], uint64(stamp.UnixNano()))
	s.out.Write(head[:]) // a bufio.Writer keeps its error
	_, err := s.out.Write(line)
	return err
}

// Wait returns when the reader has everything.
func (s *Sender) Wait() error {
	var b [headerBytes]byte
	binary.BigEndian.PutUint32(b[:], mark)
	s.out.Write(b[:])
	if err := s.out.Flush(); err != nil {
		return err
	}
	_, err := io.ReadFull(s.conn, b[:1])
	return err
}

// Close ends the reader.
func (s *Sender) Close() error { return errors.Join(s.conn.Close(), s.cmd.Wait()) }

// Serve reads from the socket and discards, until it ends.
func Serve(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, bufferBytes)
	var head [headerBytes]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == mark {
			if _, err := conn.Write(head[:1]); err != nil {
				return err
			}
			continue
		}
		if _, err := in.Discard(int(n)); err != nil {
			return err
		}
	}
}
