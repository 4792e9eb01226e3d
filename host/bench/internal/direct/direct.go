// Package direct has prototypes of ways to read beside gRPC: requests and responses of
// ReadLogs on a unix socket of their own, and the end of a log in shared memory. The
// messages that are logged have such a socket already, see wire.WriteSocket.
package direct

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/mem"
)

const (
	headerBytes   = 4
	bufferBytes   = 64 << 10
	maxFrameBytes = 4 << 20
	socketName    = "direct.sock"
)

// link exchanges frames: a length, big-endian, and as many bytes.
type link struct {
	codec wire.Codec
	conn  net.Conn
	in    *bufio.Reader
	out   []byte
}

func newLink(conn net.Conn) *link {
	return &link{codec: wire.NewCodec(), conn: conn, in: bufio.NewReaderSize(conn, bufferBytes)}
}

// send writes what was added, and m.
func (l *link) send(m any) error {
	if err := l.add(m); err != nil {
		return err
	}
	return l.flush()
}

// add makes m part of the next write.
func (l *link) add(m any) error {
	data, err := l.codec.Marshal(m)
	if err != nil {
		return err
	}
	defer data.Free()
	l.append(data)
	return nil
}

func (l *link) append(data mem.BufferSlice) {
	l.out = binary.BigEndian.AppendUint32(l.out, uint32(data.Len()))
	for _, b := range data {
		l.out = append(l.out, b.ReadOnlyData()...)
	}
}

func (l *link) flush() error {
	_, err := l.conn.Write(l.out)
	l.out = l.out[:0]
	return err
}

func (l *link) receive(m any) error {
	var head [headerBytes]byte
	if _, err := io.ReadFull(l.in, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrameBytes {
		return fmt.Errorf("frame of %d bytes", n)
	}
	pool := wire.Buffers()
	buf := pool.Get(int(n))
	data := mem.BufferSlice{mem.NewBuffer(buf, pool)}
	defer data.Free()
	if _, err := io.ReadFull(l.in, *buf); err != nil {
		return err
	}
	return l.codec.Unmarshal(data, m)
}

// peer is another process, and the way to it.
type peer struct {
	cmd  *exec.Cmd
	link *link
}

// start starts a process that connects to the socket that command is given.
func start(dir string, command func(socket string) *exec.Cmd) (*peer, error) {
	path := filepath.Join(dir, socketName)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	cmd := command(path)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the other process: %w", err)
	}
	conn, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	return &peer{cmd, newLink(conn)}, nil
}

// Pid returns the process.
func (p *peer) Pid() int { return p.cmd.Process.Pid }
