//go:build unix

package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// message returns a response as it comes through a socket.
func message(seq uint64) []byte {
	m := (&WriteResponse{Acks: []Ack{{Logger: 1, Seq: seq}}}).marshal().Materialize()
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)
}

// TestReadAhead: a message is at hand once all of it has come, and receiving it does not wait then,
// although somebody else waits for the next.
func TestReadAhead(t *testing.T) {
	ours, theirs := unixPair(t)
	s := newWriteSocket(t, ours)
	awaited := make(chan error, 1)
	go func() { awaited <- s.AwaitMsg() }()
	if s.ReadAhead() || s.AtHand() {
		t.Fatal("something is at hand before anything was sent")
	}
	sent := append(message(1), message(2)...)
	for i := range sent {
		if _, err := theirs.Write(sent[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := <-awaited; err != nil {
				t.Fatal(err)
			}
			go func() { awaited <- s.AwaitMsg() }()
		}
		if !s.ReadAhead() {
			t.Fatalf("byte %d is not there", i)
		}
		whole := (i+1)%(len(sent)/2) == 0
		if s.AtHand() != whole {
			t.Fatalf("after byte %d of messages of %d, one is at hand: %t", i+1, len(sent)/2, !whole)
		}
		if !whole {
			continue
		}
		var resp WriteResponse
		if err := s.RecvMsg(&resp); err != nil || len(resp.Acks) != 1 {
			t.Fatalf("%+v, %v", resp, err)
		}
	}
	if s.ReadAhead() {
		t.Error("something is left")
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-awaited; err != nil {
		t.Errorf("waiting for the end: %v", err)
	}
	if !s.ReadAhead() || s.AtHand() {
		t.Error("the end is not there, or is a message")
	}
	if err := s.RecvMsg(new(WriteResponse)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// TestAwaitMsgEnds with the time that the socket has.
func TestAwaitMsgEnds(t *testing.T) {
	ours, _ := unixPair(t)
	s := newWriteSocket(t, ours)
	if err := ours.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitMsg(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("waiting: %v", err)
	}
	if err := s.RecvMsg(new(WriteResponse)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("receiving: %v", err)
	}
}

// TestSocketReader reads pieces of all sizes, in whatever parts they come.
func TestSocketReader(t *testing.T) {
	ours, theirs := unixPair(t)
	raw, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	r := newSocketReader(raw, 64)
	sent := make([]byte, 5000)
	for i := range sent {
		sent[i] = byte(i * 7)
	}
	written := make(chan error, 1)
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)%97)
			if _, err := theirs.Write(rest[:n]); err != nil {
				written <- err
				return
			}
			rest = rest[n:]
		}
		written <- theirs.Close()
	}()
	var got []byte
	for size := 1; ; size = size%150 + 1 {
		if size%5 == 0 {
			r.fill(false)
		}
		piece := make([]byte, size)
		n, err := io.ReadFull(r, piece)
		got = append(got, piece[:n]...)
		if err != nil {
			break
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes were read of %d, or others", len(got), len(sent))
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}
