package wire

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// A write socket is one that a driver inherits from its host. The messages of the
// Write stream go through it, in place of gRPC, which still opens and ends the
// stream: each has its length in front, in 4 bytes, big-endian.
const (
	// EnvWriteSocket has the number of the descriptor in decimal.
	EnvWriteSocket = "LOGPLUG_WRITE_SOCKET"
	// WriteSocketGreeting is what a driver that uses the socket writes first.
	WriteSocketGreeting = "LPWRITE1"
)

// writeSocketKey is the metadata of a call of Write whose messages go through the
// socket.
const (
	writeSocketKey   = "logplug-write-socket"
	writeSocketValue = "1"
)

// WithWriteSocket makes a call of Write with the returned context one whose messages
// go through the write socket.
func WithWriteSocket(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, writeSocketKey, writeSocketValue)
}

// UsesWriteSocket tells a driver whether the messages of a call of Write with this
// context go through the write socket.
func UsesWriteSocket(ctx context.Context) bool {
	v := metadata.ValueFromIncomingContext(ctx, writeSocketKey)
	return len(v) > 0 && v[0] == writeSocketValue
}

const (
	lengthBytes = 4
	// readAheadBytes holds many small messages, and little of a large one, whose rest
	// is read to where it stays.
	readAheadBytes = 8 << 10
	// promptBytes is how much SendNow writes, besides what is in a write memory: a larger message it
	// leaves to Finish.
	promptBytes = 16 << 10
	// quickBytes is what takes little longer to copy than the system call itself.
	quickBytes = promptBytes
	// trustedBytes is what is allocated at once because of a length alone: enough for
	// one message of the largest size, and little beside what may be on its way.
	trustedBytes = 2 << 20
)

// WriteSocket is one end of a write socket, after the greeting. One goroutine may send
// while another receives.
type WriteSocket struct {
	conn  SocketConn
	codec Codec

	in     *socketReader
	length [lengthBytes]byte // received
	place  [placeBytes]byte  // received
	view   *SharedView       // where messages are that are received; may be nil

	memory  *WriteMemory    // for messages that are sent; may be nil
	tickets []byte          // sent
	heads   []byte          // sent
	parts   net.Buffers     // reused
	rest    net.Buffers     // of parts, to be written
	data    mem.BufferSlice // that rest borrows from
	err     error           // of sending

	raw     syscall.RawConn
	small   []byte             // a message in one part; reused
	attempt func(uintptr) bool // writes small without waiting
	wrote   int                // by attempt
	failed  error              // in attempt
}

// SocketConn is a connected stream socket, such as *net.UnixConn.
type SocketConn interface {
	io.ReadWriteCloser
	syscall.Conn
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// buffersWriter is a connection that writes several buffers at once. Those of package net
// do that where net.Buffers are written to them.
type buffersWriter interface {
	WriteBuffers(*net.Buffers) (int64, error)
}

// NewWriteSocket uses conn, which stays the caller's to close: that ends SendMsg and
// RecvMsg.
func NewWriteSocket(conn SocketConn) (*WriteSocket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("use the write socket: %w", err)
	}
	s := &WriteSocket{conn: conn, codec: NewCodec(), in: newSocketReader(raw, readAheadBytes), raw: raw}
	s.attempt = func(fd uintptr) bool {
		s.wrote, s.failed = writeNow(fd, s.small)
		return true
	}
	return s, nil
}

// SendThrough makes the socket put large messages into memory, which stays the caller's.
func (s *WriteSocket) SendThrough(memory *WriteMemory) { s.memory = memory }

// ReceiveFrom makes the socket find messages in a host's memory.
func (s *WriteSocket) ReceiveFrom(view *SharedView) { s.view = view }

// SendMsg sends m as the SendMsg of a gRPC stream does. After an error the socket is
// of no use any more, and the error is returned again.
func (s *WriteSocket) SendMsg(m any) error {
	if err := s.Finish(); err != nil {
		return err
	}
	if err := s.SendNow(m); err != nil {
		return err
	}
	return s.Finish()
}

// marshal makes rest what is to be written for m.
func (s *WriteSocket) marshal(m any) (err error) {
	var sites []site
	if req, ok := m.(*WriteRequest); ok {
		req.seal()
		sites = req.at
	}
	if s.data, err = s.codec.Marshal(m); err != nil {
		return err
	}
	if s.err = s.compose(s.data, sites); s.err != nil { // which has lent memory, perhaps
		s.free()
		return s.err
	}
	s.rest = s.parts
	return nil
}

// free lets go of what rest was made of.
func (s *WriteSocket) free() {
	clear(s.parts)
	s.rest = nil
	s.data.Free()
	s.data = nil
}

// compose makes parts what is to be written for data: those of it that are in the memory are messages by
// themselves, and so is what is between them.
func (s *WriteSocket) compose(data mem.BufferSlice, sites []site) error {
	if n := (2*len(sites) + 1) * (lengthBytes + placeBytes); cap(s.heads) < n {
		s.heads = make([]byte, 0, n)
	}
	s.heads = s.heads[:0]
	s.tickets = s.view.appendTickets(s.tickets[:0])
	s.parts = append(s.parts[:0], s.tickets)
	next := 0
	for _, at := range sites {
		if at.block.memory != s.memory {
			continue // of an earlier process
		}
		if next < at.part {
			if err := s.message(data[next:at.part]); err != nil {
				return err
			}
		}
		s.head(data[at.part].Len(), at.block.lend(at.offset))
		next = at.part + 1
	}
	if next > 0 && next == len(data) {
		return nil
	}
	return s.message(data[next:])
}

// message adds data, which is one message, to parts, or says where it is in the memory.
func (s *WriteSocket) message(data mem.BufferSlice) error {
	size := data.Len()
	if size > MaxMessageBytes {
		return fmt.Errorf("message of %d bytes, limit %d", size, MaxMessageBytes)
	}
	if s.memory != nil && size >= minSharedBytes {
		if at, ok := s.memory.put(data, size); ok {
			s.head(size, at)
			return nil
		}
	}
	n := len(s.heads)
	s.heads = binary.BigEndian.AppendUint32(s.heads, uint32(size))
	s.parts = append(s.parts, s.heads[n:])
	for _, b := range data {
		s.parts = append(s.parts, b.ReadOnlyData())
	}
	return nil
}

// head adds what stands for a message in the memory to parts.
func (s *WriteSocket) head(size int, at place) {
	n := len(s.heads)
	s.heads = binary.BigEndian.AppendUint32(s.heads, uint32(size)|sharedFlag)
	s.heads = at.appendTo(s.heads)
	s.parts = append(s.parts, s.heads[n:])
}

// SendNow is SendMsg for as much of m as can be sent without waiting. The rest is sent before the
// next message, or by Finish. It fails while such a rest is left.
func (s *WriteSocket) SendNow(m any) error {
	switch {
	case s.err != nil:
		return s.err
	case len(s.rest) > 0:
		return errors.New("an earlier message has not been sent as a whole")
	}
	if req, ok := m.(*WriteRequest); ok && req.Len() < minSharedBytes {
		s.small = binary.BigEndian.AppendUint32(s.small[:0], uint32(req.Len()))
		s.small = req.drain(s.small)
	} else {
		if err := s.marshal(m); err != nil {
			return err
		}
		if sizeOf(s.rest) > promptBytes {
			return nil // to copy it would take longer than to wake who may wait
		}
		s.small = s.small[:0]
		for _, b := range s.rest {
			s.small = append(s.small, b...)
		}
		s.free()
	}
	s.wrote, s.failed = 0, nil
	err := s.raw.Write(s.attempt)
	if s.err = cmp.Or(err, s.failed); s.err != nil {
		return s.err
	}
	if s.wrote < len(s.small) {
		s.parts = append(s.parts[:0], s.small[s.wrote:])
		s.rest = s.parts
		return nil
	}
	s.shrink()
	return nil
}

func sizeOf(parts net.Buffers) (n int) {
	for _, b := range parts {
		n += len(b)
	}
	return n
}

// shrink lets go of the memory of a large message, which is rare.
func (s *WriteSocket) shrink() {
	if cap(s.small) > promptBytes {
		s.small = nil
	}
}

// Unfinished tells whether SendNow has left something to send, or sending has failed.
func (s *WriteSocket) Unfinished() bool { return s.err != nil || len(s.rest) > 0 }

// Finish sends what SendNow has left. It returns the error of an earlier sending.
func (s *WriteSocket) Finish() error {
	if s.err != nil || len(s.rest) == 0 {
		return s.err
	}
	if w, ok := s.conn.(buffersWriter); ok {
		_, s.err = w.WriteBuffers(&s.rest)
	} else {
		_, s.err = s.rest.WriteTo(s.conn)
	}
	s.free()
	s.shrink()
	return s.err
}

// RecvMsg receives the next message into m. It returns io.EOF if the other side has
// ended between two messages, and an error that wraps ErrMalformed for what is none.
func (s *WriteSocket) RecvMsg(m any) error {
	size, err := s.receiveLength()
	for s.memory != nil && err == nil && size&sharedFlag != 0 {
		s.memory.giveBack(size &^ sharedFlag)
		size, err = s.receiveLength()
	}
	if err != nil {
		return err
	}
	shared := s.view != nil && size&sharedFlag != 0
	if shared {
		size &^= sharedFlag
	}
	if size > MaxMessageBytes {
		return malformed("write socket", fmt.Errorf("message of %d bytes, limit %d", size, MaxMessageBytes))
	}
	read := s.read
	if shared {
		read = s.find
	}
	data, err := read(int(size))
	if err != nil {
		return err
	}
	defer data.Free()
	return s.codec.Unmarshal(data, m)
}

// AwaitMsg waits until there is something to read, which may be the end. It does not see what was read
// ahead. Somebody else may read ahead meanwhile, and receive what is at hand.
func (s *WriteSocket) AwaitMsg() error { return s.in.await() }

// ReadAhead reads what there is without waiting. It returns whether anything was read that is not
// received yet, which may be the end.
func (s *WriteSocket) ReadAhead() (anything bool) {
	s.in.fill(false)
	return len(s.in.ahead()) > 0 || s.in.err != nil
}

// AtHand tells whether a whole message was read ahead, for which RecvMsg does not wait.
func (s *WriteSocket) AtHand() bool {
	for b := s.in.ahead(); len(b) >= lengthBytes; {
		size := binary.BigEndian.Uint32(b)
		b = b[lengthBytes:]
		switch shared := size&sharedFlag != 0; {
		case shared && s.view != nil:
			return len(b) >= placeBytes
		case !shared || s.memory == nil:
			return uint64(len(b)) >= uint64(size)
		}
	}
	return false
}

func (s *WriteSocket) receiveLength() (uint32, error) {
	_, err := io.ReadFull(s.in, s.length[:])
	return binary.BigEndian.Uint32(s.length[:]), err
}

// find returns a message of n bytes that is in the host's memory.
func (s *WriteSocket) find(n int) (mem.BufferSlice, error) {
	if _, err := io.ReadFull(s.in, s.place[:]); err != nil {
		return nil, unexpected(err)
	}
	b, err := s.view.message(s.place, n)
	if err != nil {
		return nil, malformed("write socket", err)
	}
	return mem.BufferSlice{b}, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// read reads n bytes. What is allocated ahead of them is bounded.
func (s *WriteSocket) read(n int) (data mem.BufferSlice, err error) {
	for n > 0 {
		part := min(n, trustedBytes)
		buf := buffers.Get(part)
		if _, err := io.ReadFull(s.in, *buf); err != nil {
			buffers.Put(buf)
			data.Free()
			return nil, unexpected(err)
		}
		data = append(data, mem.NewBuffer(buf, &buffers))
		n -= part
	}
	return data, nil
}
