// Package direct is a prototype of the shortest path beside gRPC: requests and responses
// of the Write stream, in the encoding of package wire, on a unix socket of their own. As
// with logplug's write socket, the goroutine that logs writes to it, and the one that
// reads from it runs the driver's code; there are no loggers, spool and windows.
package direct

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
	"sync"
	"time"

	"github.com/logplug/logplug/host/bench/internal/latency"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/mem"
)

const (
	headerBytes   = 4
	bufferBytes   = 64 << 10
	maxFrameBytes = 4 << 20
	// gatherBytes is the size from which a frame is not copied to be written.
	gatherBytes = 16 << 10
	socketName  = "direct.sock"
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
	data, err := l.codec.Marshal(m)
	if err != nil {
		return err
	}
	defer data.Free()
	if data.Len() < gatherBytes {
		l.append(data)
		return l.flush()
	}
	l.out = binary.BigEndian.AppendUint32(l.out, uint32(data.Len()))
	parts := net.Buffers{l.out}
	for _, b := range data {
		parts = append(parts, b.ReadOnlyData())
	}
	l.out = l.out[:0]
	_, err = parts.WriteTo(l.conn)
	return err
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

// Sender is the host's side of a path for messages, with the receiver's process.
type Sender struct {
	*peer

	mu    sync.Mutex
	req   wire.WriteRequest
	entry []byte
	seqs  []uint64

	acks chan uint64 // running totals; the newest is kept
	done chan struct{}
}

// Start starts cmd, which must call Serve with the path that command is given.
func Start(dir string, loggers int, command func(socket string) *exec.Cmd) (*Sender, error) {
	p, err := start(dir, command)
	if err != nil {
		return nil, err
	}
	s := &Sender{peer: p, seqs: make([]uint64, loggers), acks: make(chan uint64, 1), done: make(chan struct{})}
	go s.receive()
	return s, nil
}

// Send sends one message of a logger, as a request.
func (s *Sender) Send(logger int, m *logdriver.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seqs[logger]++
	s.entry = wire.AppendEntry(s.entry[:0], m)
	s.req.AppendBatch(uint64(logger+1), s.seqs[logger], s.entry)
	return s.link.send(&s.req)
}

// receive keeps the total of what is acknowledged.
func (s *Sender) receive() {
	defer close(s.done)
	var resp wire.WriteResponse
	seqs, total := make(map[uint64]uint64), uint64(0)
	for s.link.receive(&resp) == nil {
		for i := range resp.Acks {
			a := &resp.Acks[i]
			total += a.Seq - seqs[a.Logger]
			seqs[a.Logger] = a.Seq
		}
		select {
		case <-s.acks:
		default:
		}
		s.acks <- total
	}
}

// Wait returns when so many messages are acknowledged.
func (s *Sender) Wait(total int) error {
	for {
		select {
		case n := <-s.acks:
			if n >= uint64(total) {
				return nil
			}
		case <-s.done:
			return errors.New("the receiver has ended")
		}
	}
}

// Close ends the receiver.
func (s *Sender) Close() error {
	err := s.link.conn.Close()
	<-s.done
	return errors.Join(err, s.cmd.Wait())
}

// Serve acknowledges what it receives. With a file, it writes the latencies of
// lines with a time of sending to it at the end, one a line.
func Serve(socket, file string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	link := newLink(conn)
	a := &acks{link: link, touched: make(map[uint64]uint64), wake: make(chan struct{}, 1)}
	go a.send()
	r := receiver{link: link, acks: a}
	for {
		if err := r.request(); err != nil {
			break // the host is gone
		}
	}
	close(a.wake)
	return latency.Write(file, r.took)
}

type receiver struct {
	link *link
	acks *acks
	req  wire.WriteRequest
	dec  wire.Decoder
	msg  logdriver.Message
	took []time.Duration
}

// request takes one request.
func (r *receiver) request() error {
	if err := r.link.receive(&r.req); err != nil {
		return err
	}
	for b, err := range r.req.Batches() {
		if err != nil {
			return err
		}
		last := b.FirstSeq + uint64(b.Count) - 1
		for b.Count > 0 {
			r.msg.Reset()
			if _, err := b.Next(&r.dec, &r.msg); err != nil {
				return err
			}
			r.took = latency.Append(r.took, r.msg.Line)
		}
		r.acks.add(b.Logger, last)
	}
	return nil
}

// ackDelay is how long acknowledgements wait for others: each wakes the host, on a
// processor that a message may need.
const ackDelay = time.Millisecond

// acks are acknowledgements that wait.
type acks struct {
	link *link
	wake chan struct{}

	mu      sync.Mutex
	touched map[uint64]uint64 // sequences to acknowledge
}

func (a *acks) add(logger, seq uint64) {
	a.mu.Lock()
	a.touched[logger] = seq
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// send sends what waits, until wake is closed or the host is gone.
func (a *acks) send() {
	var resp wire.WriteResponse
	for range a.wake {
		time.Sleep(ackDelay)
		resp.Acks = resp.Acks[:0]
		a.mu.Lock()
		for logger, seq := range a.touched {
			resp.Acks = append(resp.Acks, wire.Ack{Logger: logger, Seq: seq})
		}
		clear(a.touched)
		a.mu.Unlock()
		if len(resp.Acks) > 0 && a.link.send(&resp) != nil {
			return
		}
	}
}
