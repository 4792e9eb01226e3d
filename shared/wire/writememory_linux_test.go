package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/mem"
)

// sharing returns both ends of a write socket with a memory.
func sharing(t testing.TB) (out, in *WriteSocket, memory *WriteMemory) {
	t.Helper()
	ours, theirs := unixPair(t)
	out, in = newWriteSocket(t, ours), newWriteSocket(t, theirs)
	memory, file, err := NewWriteMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() })
	view, err := MapWriteMemory(int(file.Fd()))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(view.data) })
	out.SendThrough(memory)
	in.ReceiveFrom(view)
	return out, in, memory
}

// used returns how many messages went through the memory, and how many of them the driver has
// not given back.
func (m *WriteMemory) used() (messages, lent int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.slots {
		messages += int(m.slots[i].ticket >> slotBits)
		if m.slots[i].lent {
			lent++
		}
	}
	return messages, lent
}

// giveBack sends what in owes, and has out receive it.
func giveBack(t *testing.T, in, out *WriteSocket) {
	t.Helper()
	if err := in.SendMsg(new(WriteResponse)); err != nil {
		t.Fatal(err)
	}
	if err := out.RecvMsg(new(WriteResponse)); err != nil {
		t.Fatal(err)
	}
}

// TestWriteMemory sends messages of all sizes, of which the large ones go through the memory.
func TestWriteMemory(t *testing.T) {
	out, in, memory := sharing(t)
	var want []string
	large := 0
	for i := range 200 {
		size := []int{0, 100, minSharedBytes - 50, minSharedBytes, 100 << 10, 319 << 10, 400 << 10, logdriver.MaxLineBytes}[i%8]
		want = append(want, strings.Repeat(string(rune('a'+i%26)), size))
		if size >= minSharedBytes {
			large++
		}
	}
	sent := make(chan error, 1)
	go func() {
		for i, line := range want {
			req := requestOf(uint64(i+1), line)
			send := func() error { return out.SendMsg(req) }
			if i%3 == 0 && !out.Unfinished() {
				send = func() error { return out.SendNow(req) }
			}
			if err := send(); err != nil {
				sent <- err
				return
			}
		}
		sent <- out.Finish()
	}()
	got, err := receiveLines(in, len(want))
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("message %d has %d bytes, sent were %d", i+1, len(got[i]), len(want[i]))
		}
	}
	giveBack(t, in, out)
	if puts, taken := memory.used(); puts == 0 || puts > large || taken != 0 {
		t.Errorf("%d of %d large messages went through the memory, %d are still there", puts, large, taken)
	}
}

// TestWriteMemoryIsFull: where nothing is free, messages follow their length, and they stay in
// order; what is free again is used again.
func TestWriteMemoryIsFull(t *testing.T) {
	out, in, memory := sharing(t)
	line := strings.Repeat("x", 2*minSharedBytes)
	var kept []*WriteRequest
	send := func() {
		t.Helper()
		seq := uint64(len(kept) + 1)
		if err := out.SendMsg(requestOf(seq, line)); err != nil {
			t.Fatal(err)
		}
		req := new(WriteRequest)
		if err := in.RecvMsg(req); err != nil {
			t.Fatal(err)
		}
		for b, err := range req.Batches() {
			if err != nil || b.FirstSeq != seq || b.Count != 1 {
				t.Fatalf("batch %+v, expected one with message %d: %v", b, seq, err)
			}
		}
		kept = append(kept, req)
	}
	for range slots + 3 {
		send()
	}
	if puts, taken := memory.used(); puts != slots || taken != slots {
		t.Fatalf("%d messages in %d slots, %d taken", puts, slots, taken)
	}
	kept[2].Free()
	giveBack(t, in, out)
	send()
	if puts, taken := memory.used(); puts != slots+1 || taken != slots {
		t.Errorf("%d messages in %d slots, %d taken, after one was freed", puts, slots, taken)
	}
	for _, req := range kept {
		req.Free()
	}
	giveBack(t, in, out)
	if _, taken := memory.used(); taken != 0 {
		t.Errorf("%d slots are taken after all were freed", taken)
	}
	free := memory.free[0]
	last := free[len(free)-1]
	send()
	if !memory.slots[last].lent {
		t.Errorf("the slot that was freed last, %d, is not used", last)
	}
	kept[len(kept)-1].Free()
}

// TestWriteMemoryIsClosed: messages go on without it.
func TestWriteMemoryIsClosed(t *testing.T) {
	out, in, memory := sharing(t)
	for range 2 {
		if err := memory.Close(); err != nil {
			t.Fatal(err)
		}
	}
	line := strings.Repeat("x", minSharedBytes)
	if err := out.SendMsg(requestOf(1, line)); err != nil {
		t.Fatal(err)
	}
	if got, err := receiveLines(in, 1); err != nil || got[0] != line {
		t.Errorf("%d lines: %v", len(got), err)
	}
	if err := (*WriteMemory)(nil).Close(); err != nil {
		t.Error(err)
	}
}

// TestWriteMemoryIsSealed: a driver can read the memory, and nothing else.
func TestWriteMemoryIsSealed(t *testing.T) {
	memory, file, err := NewWriteMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	defer file.Close()
	fd := int(file.Fd())
	for name, try := range map[string]func() error{
		"cut":     func() error { return unix.Ftruncate(fd, 0) },
		"grown":   func() error { return unix.Ftruncate(fd, 2*WriteMemoryBytes) },
		"written": func() error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err },
		"punched": func() error { return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096) },
		"sealed":  func() error { _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); return err },
		"writable": func() error {
			_, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		},
	} {
		if err := try(); !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// withoutPages makes memory one for which the system has no pages, until restore is called.
func withoutPages(t *testing.T, memory *WriteMemory) (restore func()) {
	t.Helper()
	fd, err := memfd("test") // an empty file
	if err != nil {
		t.Fatal(err)
	}
	beyond, err := unix.Mmap(fd, 0, WriteMemoryBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		t.Fatal(err)
	}
	good := memory.data
	memory.data = beyond
	return func() {
		memory.data = good
		if err := unix.Munmap(beyond); err != nil {
			t.Error(err)
		}
	}
}

// TestMemoryThatFaults: where the system has no memory, messages follow their length.
func TestMemoryThatFaults(t *testing.T) {
	out, in, memory := sharing(t)
	restore := withoutPages(t, memory)
	line := strings.Repeat("x", minSharedBytes)
	for seq := uint64(1); seq <= 2; seq++ {
		if err := out.SendMsg(requestOf(seq, line)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := receiveLines(in, 2); err != nil || got[1] != line {
		t.Errorf("%d lines: %v", len(got), err)
	}
	restore()
}

// TestTicketsThatAreNone: what a driver gives back without having it changes nothing.
func TestTicketsThatAreNone(t *testing.T) {
	out, in, memory := sharing(t)
	line := strings.Repeat("x", minSharedBytes)
	if err := out.SendMsg(requestOf(1, line)); err != nil {
		t.Fatal(err)
	}
	req := new(WriteRequest)
	if err := in.RecvMsg(req); err != nil {
		t.Fatal(err)
	}
	for _, ticket := range []uint32{0, 1<<slotBits - 1, 1, 1<<slotBits + 1, 2 << slotBits, sharedFlag - 1} {
		memory.giveBack(ticket)
	}
	if _, taken := memory.used(); taken != 1 {
		t.Errorf("%d slots are taken", taken)
	}
	req.Free()
	giveBack(t, in, out)
	if _, taken := memory.used(); taken != 0 {
		t.Errorf("%d slots are taken after all were given back", taken)
	}
}

// TestTicketsAreOwed: a driver is told when it is to give back without a response.
func TestTicketsAreOwed(t *testing.T) {
	for _, c := range []struct{ messages, size int }{{owedTickets, minSharedBytes}, {owedBytes / (256 << 10), 256 << 10}} {
		out, in, memory := sharing(t)
		told := 0
		in.view.OnOwed(func() { told++ })
		receive := func(seq int) {
			t.Helper()
			if err := out.SendMsg(requestOf(uint64(seq), strings.Repeat("x", c.size))); err != nil {
				t.Fatal(err)
			}
			req := new(WriteRequest)
			if err := in.RecvMsg(req); err != nil {
				t.Fatal(err)
			}
			req.Free()
		}
		for seq := range c.messages {
			if told > 0 || in.view.Owes() {
				t.Fatalf("told after %d messages of %d bytes", seq, c.size)
			}
			receive(seq + 1)
		}
		receive(c.messages + 1)
		if told != 1 || !in.view.Owes() {
			t.Errorf("told %d times", told)
		}
		giveBack(t, in, out)
		if _, lent := memory.used(); lent != 0 || in.view.Owes() {
			t.Errorf("%d slots are lent after all were given back", lent)
		}
	}
}

func TestMapWriteMemoryRefuses(t *testing.T) {
	sealed := func(size int64) int {
		fd, err := memfd("test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Ftruncate(fd, size); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, writeMemorySeals); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	unsealed, err := memfd("test")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(unsealed)
	for name, fd := range map[string]int{
		"a closed one": 1 << 20, "another file": int(null.Fd()), "one that may shrink": unsealed,
		"an empty one": sealed(0), "a huge one": sealed(maxSharedBytes + 1),
	} {
		if view, err := MapWriteMemory(fd); err == nil {
			t.Errorf("%s was mapped: %d bytes", name, len(view.data))
		}
	}
}

// TestPlacesThatAreNone: what a host says of messages outside of the memory is malformed.
func TestPlacesThatAreNone(t *testing.T) {
	const all = 64 << 10
	for name, c := range map[string]struct{ size, offset uint32 }{
		"behind the end": {minSharedBytes, all},
		"across the end": {minSharedBytes, all - minSharedBytes + 1},
		"far away":       {minSharedBytes, 1<<32 - 1},
		"too large":      {MaxMessageBytes + 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := unixPair(t)
			in := newWriteSocket(t, theirs)
			in.ReceiveFrom(&SharedView{data: make([]byte, all)})
			sent := binary.BigEndian.AppendUint32(nil, c.size|sharedFlag)
			sent = binary.BigEndian.AppendUint32(sent, c.offset)
			if _, err := ours.Write(append(sent, 0, 0, 0, 1)); err != nil {
				t.Fatal(err)
			}
			if err := in.RecvMsg(new(WriteRequest)); !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
		})
	}
}

// TestPlaceIsCut: the host has gone in the middle of telling a place.
func TestPlaceIsCut(t *testing.T) {
	ours, theirs := unixPair(t)
	in := newWriteSocket(t, theirs)
	in.ReceiveFrom(&SharedView{data: make([]byte, 4096)})
	if _, err := ours.Write([]byte{0x80, 0, 0, 1, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if err := in.RecvMsg(new(WriteRequest)); err == nil || errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// TestSmallSharedMessage: a host may share messages that buffers are not pooled for.
func TestSmallSharedMessage(t *testing.T) {
	ours, theirs := unixPair(t)
	in := newWriteSocket(t, theirs)
	view := &SharedView{data: make([]byte, 4096)}
	in.ReceiveFrom(view)
	message := requestOf(1, "a line").marshal().Materialize()
	copy(view.data[100:], message)
	sent := binary.BigEndian.AppendUint32(nil, uint32(len(message))|sharedFlag)
	sent = place{offset: 100, ticket: 77}.appendTo(sent)
	if _, err := ours.Write(sent); err != nil {
		t.Fatal(err)
	}
	got, err := receiveLines(in, 1)
	if err != nil || got[0] != "a line" {
		t.Errorf("%q, %v", got, err)
	}
	if tickets := view.tickets; len(tickets) != 1 || tickets[0] != 77 {
		t.Errorf("to give back: %d", tickets)
	}
}

// FuzzWriteMemory: what a host that may be broken sends, and has in the memory.
func FuzzWriteMemory(f *testing.F) {
	message := requestOf(1, "a line").marshal().Materialize()
	f.Add(place{offset: 8, ticket: 1}.appendTo(binary.BigEndian.AppendUint32(nil, uint32(len(message))|sharedFlag)), append(make([]byte, 8), message...))
	f.Add([]byte{0x80, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1}, make([]byte, 100))
	f.Fuzz(func(t *testing.T, raw, memory []byte) {
		view := &SharedView{data: memory}
		s := socketOf(raw)
		s.ReceiveFrom(view)
		var (
			req WriteRequest
			dec Decoder
		)
		defer req.Free()
		for s.RecvMsg(&req) == nil {
			for b, err := range req.Batches() {
				for ok := err == nil; ok; {
					var m logdriver.Message
					if ok, err = b.Next(&dec, &m); err != nil {
						break
					}
					_ = fmt.Sprint(m.Seq)
				}
			}
		}
	})
}

// inBlock returns a request with one message that is in a block from the beginning.
func inBlock(t *testing.T, block *Block, seq uint64, line string) *WriteRequest {
	t.Helper()
	data := block.Bytes()
	entries := AppendEntry(data[HeadRoom:HeadRoom], &logdriver.Message{Line: []byte(line)})
	offset := HeadRoom - BatchHead(data[:HeadRoom], 1, seq, len(entries))
	req := new(WriteRequest)
	req.AttachMessage(mem.SliceBuffer(data[offset:HeadRoom+len(entries)]), block, offset)
	return req
}

// TestBlocks: messages that are made in the memory are sent from there, in order with others, and
// stay there until they were given back, whatever becomes of the block.
func TestBlocks(t *testing.T) {
	out, in, memory := sharing(t)
	var (
		blocks []*Block
		want   []string
	)
	req := new(WriteRequest)
	for i := range uint64(20) {
		want = append(want, strings.Repeat(string(rune('a'+i)), int(100+i*1000)))
		if i%3 == 0 { // the others are between the blocks
			entry := AppendEntry(nil, &logdriver.Message{Line: []byte(want[i])})
			req.AppendBatch(1, i+1, entry)
			continue
		}
		block := memory.Block()
		blocks = append(blocks, block)
		one := inBlock(t, block, i+1, want[i])
		req.AttachMessage(one.parts[0], block, one.at[0].offset)
		if i%4 == 0 {
			if err := out.SendMsg(req); err != nil {
				t.Fatal(err)
			}
		} else if i%4 == 1 {
			if err := out.SendNow(req); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := out.SendMsg(req); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		b.Free()
	}
	if n := len(memory.free[0]); n > blockSlots-len(blocks) {
		t.Errorf("%d blocks are free, with %d on their way", n, len(blocks))
	}
	got, err := receiveLines(in, len(want))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("message %d has %d bytes, sent were %d", i+1, len(got[i]), len(want[i]))
		}
	}
	giveBack(t, in, out)
	if _, lent := memory.used(); lent != 0 || len(memory.free[0]) != blockSlots {
		t.Errorf("%d slots are lent and %d blocks free after all were given back", lent, len(memory.free[0]))
	}
}

// TestBlocksOfAnother: what is in the memory of an earlier process is sent as if it were not.
func TestBlocksOfAnother(t *testing.T) {
	_, _, earlier := sharing(t)
	out, in, memory := sharing(t)
	line := strings.Repeat("x", 2*minSharedBytes)
	block := earlier.Block()
	if err := out.SendMsg(inBlock(t, block, 1, line)); err != nil {
		t.Fatal(err)
	}
	if got, err := receiveLines(in, 1); err != nil || got[0] != line {
		t.Errorf("%d lines: %v", len(got), err)
	}
	if n, _ := memory.used(); n != 1 {
		t.Errorf("%d messages went through the memory", n)
	}
	if n, _ := earlier.used(); n != 0 {
		t.Errorf("%d messages went through the memory of another process", n)
	}
	block.Free()
}

// TestBlocksOutliveTheirProcess: a memory that is closed has no more blocks, and is unmapped when
// the last one is freed.
func TestBlocksOutliveTheirProcess(t *testing.T) {
	_, _, memory := sharing(t)
	unmapped := 0
	unmap := memory.unmap
	memory.unmap = func(b []byte) error { unmapped++; return unmap(b) }
	a, b := memory.Block(), memory.Block()
	for range 2 {
		if err := memory.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if memory.Block() != nil {
		t.Error("a memory that is closed has blocks")
	}
	a.Free()
	copy(b.Bytes(), "is still there")
	if unmapped > 0 {
		t.Fatal("unmapped with a block in use")
	}
	b.Free()
	if unmapped != 1 {
		t.Errorf("unmapped %d times", unmapped)
	}
	if (*WriteMemory)(nil).Block() != nil {
		t.Error("no memory has blocks")
	}
}

// TestBlocksAreLimited: there are so many, and where the system has no memory there are none.
func TestBlocksAreLimited(t *testing.T) {
	_, _, memory := sharing(t)
	for n := range blockSlots {
		if memory.Block() == nil {
			t.Fatalf("%d blocks", n)
		}
	}
	if memory.Block() != nil {
		t.Error("more blocks than there are")
	}

	_, _, memory = sharing(t)
	restore := withoutPages(t, memory)
	if memory.Block() != nil {
		t.Error("a block of nothing")
	}
	restore()
	if memory.Block() != nil {
		t.Error("a block of memory that has failed")
	}
}

// TestBlockOfAUsedSlot: all of a block has pages, also where a small message was before.
func TestBlockOfAUsedSlot(t *testing.T) {
	out, in, memory := sharing(t)
	if err := out.SendMsg(requestOf(1, strings.Repeat("x", minSharedBytes))); err != nil {
		t.Fatal(err)
	}
	if _, err := receiveLines(in, 1); err != nil {
		t.Fatal(err)
	}
	giveBack(t, in, out)
	block := memory.Block()
	if got := string(block.Bytes()); got != strings.Repeat("\x00", BlockBytes) {
		t.Error("a block that was never written to as a whole")
	}
	block.Free()
}

// TestNothingIsAskedFor by what is sent from blocks, behind what was not.
func TestNothingIsAskedFor(t *testing.T) {
	out, in, memory := sharing(t)
	req := requestOf(1, "a line")
	if err := out.SendNow(req); err != nil {
		t.Fatal(err)
	}
	block := memory.Block()
	defer block.Free()
	one := inBlock(t, block, 2, "another")
	req.AttachMessage(one.parts[0], block, one.at[0].offset)
	if err := out.SendNow(req); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var got WriteRequest
		if err := in.RecvMsg(&got); err != nil || got.Received() == 0 {
			t.Errorf("%d bytes: %v", got.Received(), err)
		}
		got.Free()
	}
}
