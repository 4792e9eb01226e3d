package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

func wireRules() []Rule {
	return []Rule{
		{
			ID: "wire/numbers", Needs: NeedSocket,
			Text:  "Open gives each logger a number that is not 0 and was not used before in the process, also after Close, and a window.",
			check: checkNumbers,
		},
		{
			ID: "wire/acks", Needs: NeedSocket,
			Text:  "Acknowledgements are cumulative for each logger: none goes back or beyond what was sent, and in the end all messages are settled.",
			check: checkAcks,
		},
		{
			ID: "wire/many-loggers", Needs: NeedSocket,
			Text:  "One request may carry batches of many loggers, and several of the same one.",
			check: checkManyBatches,
		},
		{
			ID: "wire/window", Needs: NeedSocket,
			Text:  "A logger takes a whole window of messages, and a single message that is larger, without the host waiting for acknowledgements.",
			check: checkWindowBytes,
		},
		{
			ID: "wire/resent", Needs: NeedSocket,
			Text:  "Messages that a process has received already are skipped, and acknowledged with the others.",
			check: checkResent,
		},
		{
			ID: "wire/gap", Needs: NeedSocket,
			Text:  "Sequences grow within a logger, and may leave out numbers.",
			check: checkSequenceGap,
		},
		{
			ID: "wire/unknown-fields", Needs: NeedSocket,
			Text:  "Unknown fields are ignored in every message, as those of a newer host.",
			check: checkUnknownFields,
		},
		{
			ID: "wire/field-order", Needs: NeedSocket,
			Text:  "The fields of a message may come in any order, as protobuf has it.",
			check: checkFieldOrder,
		},
		{
			ID: "wire/unknown-logger", Needs: NeedSocket,
			Text:  "Close, Flush and ReadLogs for a number that no open logger has, and a second Close, are answered with the error of kind UNKNOWN_LOGGER.",
			check: checkUnknownLogger,
		},
		{
			ID: "wire/late-batch", Needs: NeedSocket,
			Text:  "Batches for a logger that is not open are ignored, and harm no other.",
			check: checkLateBatch,
		},
		{
			ID: "wire/read-header", Needs: NeedReads | NeedSocket,
			Text:  "ReadLogs sends its response headers as soon as it has its position in the log, also when there is nothing to deliver.",
			check: checkReadHeader,
		},
		{
			ID: "wire/read-limits", Needs: NeedReads | NeedSocket,
			Text:  fmt.Sprintf("No response of ReadLogs exceeds %d bytes, however large the messages are.", wire.MaxMessageBytes),
			check: checkReadLimits,
		},
	}
}

// session is a process with its Write stream.
type session struct {
	*process
	*writing
}

func (e *env) session(ctx context.Context) (session, error) {
	p, err := e.start(ctx)
	if err != nil {
		return session{}, err
	}
	w, err := p.openWrite(ctx)
	return session{p, w}, err
}

// opened is a logger that was opened without a host.
type opened struct {
	id     uint64
	window int
	info   logdriver.Info
}

func (s session) openNew(ctx context.Context) (opened, error) {
	info := s.env.newInfo()
	o, err := s.open(ctx, info)
	return opened{o.GetLogger(), int(min(o.GetWindowBytes(), 1<<30)), info}, err
}

// holds closes the logger and checks what its log has, if it can be read.
func (s session) holds(ctx context.Context, o opened, want []record) error {
	if err := s.closeLogger(ctx, o.id); err != nil {
		return err
	}
	if !s.env.desc.Capability.ReadLogs {
		return nil
	}
	got, err := s.read(ctx, readInfo(o.info, logdriver.ReadConfig{Tail: -1}))
	return errors.Join(err, sameLines(got, want))
}

func checkNumbers(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	used := map[uint64]bool{}
	for i := range 10 {
		o, err := s.openNew(ctx)
		if err != nil {
			return err
		}
		if used[o.id] || o.window == 0 {
			return fmt.Errorf("the number %d (used before: %t) with a window of %d bytes", o.id, used[o.id], o.window)
		}
		used[o.id] = true
		if i%2 == 0 {
			if err := s.closeLogger(ctx, o.id); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkAcks(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	const loggers, batches, size = 3, 20, 10
	want := numbered(batches * size)
	open := make([]opened, loggers)
	for i := range open {
		if open[i], err = s.openNew(ctx); err != nil {
			return err
		}
	}
	for b := range batches {
		for _, o := range open {
			if err := s.send(batch(o.id, uint64(b*size+1), want[b*size:(b+1)*size])); err != nil {
				return err
			}
		}
	}
	for _, o := range open {
		if err := s.settle(ctx, o.id, batches*size); err != nil {
			return err
		}
		if err := s.holds(ctx, o, want); err != nil {
			return err
		}
	}
	return nil
}

func checkManyBatches(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	const loggers, size = 20, 30
	want := numbered(size)
	open := make([]opened, loggers)
	for i := range open {
		if open[i], err = s.openNew(ctx); err != nil {
			return err
		}
	}
	var batches []*pb.Batch
	for from := 0; from < size; from += 10 {
		for _, o := range open {
			batches = append(batches, batch(o.id, uint64(from+1), want[from:from+10]))
		}
	}
	if err := s.send(batches...); err != nil {
		return err
	}
	for i, o := range open {
		if err := s.settle(ctx, o.id, size); err != nil {
			return err
		}
		if err := s.holds(ctx, o, want); err != nil {
			return fmt.Errorf("logger %d of %d: %w", i+1, loggers, err)
		}
	}
	return nil
}

func checkWindowBytes(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	o, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	want := windowful(min(o.window, 16<<20))
	for from := 0; from < len(want); from += 64 {
		to := min(from+64, len(want))
		if err := s.send(batch(o.id, uint64(from+1), want[from:to])); err != nil {
			return err
		}
	}
	if err := s.settle(ctx, o.id, uint64(len(want))); err != nil {
		return fmt.Errorf("%d messages that fill the window of %d bytes: %w", len(want), o.window, err)
	}
	large := []record{{line: string(bytes.Repeat([]byte{'x'}, logdriver.MaxLineBytes)), source: stdout, at: epoch()}}
	for i := range 64 {
		large[0].attrs = append(large[0].attrs, logdriver.Attr{Key: fmt.Sprintf("key-%02d", i), Value: string(bytes.Repeat([]byte{'v'}, 900))})
	}
	if err := s.store(ctx, o.id, uint64(len(want)+1), large); err != nil {
		return fmt.Errorf("a single message of %d bytes, the window is %d: %w", len(large[0].line), o.window, err)
	}
	return s.closeLogger(ctx, o.id)
}

// windowful returns messages that fill a window without exceeding it.
func windowful(window int) (records []record) {
	filler := string(bytes.Repeat([]byte{'w'}, 1000))
	for i, used := 0, 0; ; i++ {
		r := record{line: fmt.Sprintf("%06d %s", i, filler), source: stdout, at: epoch()}
		m := r.message()
		used += wire.EntrySize(m)
		logdriver.PutMessage(m)
		if used > window {
			return records
		}
		records = append(records, r)
	}
}

func checkResent(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	o, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	want := numbered(50)
	if err := s.store(ctx, o.id, 1, want[:30]); err != nil {
		return err
	}
	// All, a part, and what goes beyond.
	if err := s.send(batch(o.id, 1, want[:30]), batch(o.id, 11, want[10:20])); err != nil {
		return err
	}
	if err := s.store(ctx, o.id, 21, want[20:]); err != nil {
		return err
	}
	return s.holds(ctx, o, want)
}

func checkSequenceGap(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	o, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	want := numbered(30)
	for i, first := range []uint64{5, 100, 1 << 40} {
		if err := s.store(ctx, o.id, first, want[i*10:(i+1)*10]); err != nil {
			return err
		}
	}
	return s.holds(ctx, o, want)
}

// addUnknown adds fields to m that no version has.
func addUnknown[M proto.Message](m M) M {
	var b []byte
	b = protowire.AppendTag(b, 1000, protowire.VarintType)
	b = protowire.AppendVarint(b, 1<<60)
	b = protowire.AppendTag(b, 1001, protowire.BytesType)
	b = protowire.AppendBytes(b, []byte("from the future"))
	b = protowire.AppendTag(b, 1002, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, 42)
	b = protowire.AppendTag(b, 15, protowire.Fixed32Type)
	b = protowire.AppendFixed32(b, 42)
	m.ProtoReflect().SetUnknown(b)
	return m
}

func checkUnknownFields(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	info := e.newInfo()
	o, err := s.openRequest(ctx, addUnknown(&pb.OpenRequest{Info: addUnknown(wire.InfoToProto(&info))}))
	if err != nil {
		return err
	}
	want := append(numbered(10), parts("p", stdout, 3)...)
	for i := range want {
		want[i].attrs = []logdriver.Attr{{Key: "a", Value: "b"}}
	}
	b := addUnknown(batch(o.GetLogger(), 1, want))
	for _, entry := range b.Entries {
		addUnknown(entry)
		addUnknown(entry.Attrs[0])
		if entry.Partial != nil {
			addUnknown(entry.Partial)
		}
	}
	if err := s.sendRequest(addUnknown(&pb.WriteRequest{Batches: []*pb.Batch{b}})); err != nil {
		return err
	}
	if err := s.settle(ctx, o.GetLogger(), uint64(len(want))); err != nil {
		return err
	}
	if e.desc.Capability.ReadLogs {
		req := addUnknown(readLogger(o.GetLogger(), logdriver.ReadConfig{Tail: -1}))
		addUnknown(req.Config)
		got, err := s.read(ctx, req)
		if err = errors.Join(err, sameBytes(joined(got, stdout), joinedText(want, stdout))); err != nil {
			return err
		}
	}
	cctx, cancel := s.callCtx(ctx)
	defer cancel()
	if _, err := s.client.Flush(cctx, addUnknown(&pb.FlushRequest{Logger: o.GetLogger()})); err != nil {
		return fmt.Errorf("Flush: %w", err)
	}
	_, err = s.client.Close(cctx, addUnknown(&pb.CloseRequest{Logger: o.GetLogger()}))
	return err
}

// checkFieldOrder sends batches whose numbers come after their entries, and
// entries with their time behind everything else.
func checkFieldOrder(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	o, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	want := numbered(20)
	b := batch(0, 0, want)
	b.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(
		protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1),
		1, protowire.VarintType), o.id))
	for i, entry := range b.Entries {
		entry.TimeUnixNano = 0
		entry.ProtoReflect().SetUnknown(protowire.AppendFixed64(
			protowire.AppendTag(nil, 1, protowire.Fixed64Type), uint64(want[i].at.UnixNano())))
	}
	s.sent[o.id] = uint64(len(want))
	if err := s.sendRequest(&pb.WriteRequest{Batches: []*pb.Batch{b}}); err != nil {
		return err
	}
	if err := s.settle(ctx, o.id, uint64(len(want))); err != nil {
		return err
	}
	return s.holds(ctx, o, want)
}

func checkUnknownLogger(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	closed, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	if err := s.closeLogger(ctx, closed.id); err != nil {
		return err
	}
	for what, id := range map[string]uint64{"that was closed": closed.id, "that was never given": closed.id + 1_000_000, "0": 0} {
		cctx, cancel := s.callCtx(ctx)
		defer cancel()
		_, closeErr := s.client.Close(cctx, &pb.CloseRequest{Logger: id})
		_, flushErr := s.client.Flush(cctx, &pb.FlushRequest{Logger: id})
		answers := map[string]error{"Close": wire.FromStatus(e.name, closeErr), "Flush": wire.FromStatus(e.name, flushErr)}
		if e.desc.Capability.ReadLogs {
			_, answers["ReadLogs"] = s.read(ctx, readLogger(id, logdriver.ReadConfig{Tail: -1, Follow: true}))
		}
		for call, err := range answers {
			if !errors.Is(err, wire.ErrUnknownLogger) {
				return fmt.Errorf("%s with a number %s: the answer is %w", call, what, orNoError(err))
			}
		}
	}
	return nil
}

func checkLateBatch(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	closed, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	o, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	if err := s.closeLogger(ctx, closed.id); err != nil {
		return err
	}
	want := numbered(10)
	err = s.send(batch(closed.id, 1, want), batch(o.id+1_000_000, 1, want), batch(o.id, 1, want))
	if err != nil {
		return err
	}
	if err := s.settle(ctx, o.id, uint64(len(want))); err != nil {
		return err
	}
	return s.holds(ctx, o, want)
}

func checkReadHeader(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	o, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	cctx, cancel := s.callCtx(ctx)
	defer cancel()
	stream, err := s.client.ReadLogs(cctx, readLogger(o.id, logdriver.ReadConfig{Tail: -1, Follow: true}))
	if err != nil {
		return err
	}
	if _, err := stream.Header(); err != nil {
		return fmt.Errorf("waiting for the headers: %w", wire.FromStatus(e.name, err))
	}
	// What is logged from now on belongs to the reading.
	want := numbered(5)
	if err := s.store(ctx, o.id, 1, want); err != nil {
		return err
	}
	var got []record
	for len(got) < len(want) {
		resp, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("after %d of %d messages: %w", len(got), len(want), wire.FromStatus(e.name, err))
		}
		for _, entry := range resp.GetEntries() {
			got = append(got, recordOfEntry(entry))
		}
	}
	return sameLines(got, want)
}

func checkReadLimits(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	o, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	var want []record
	for i := range 12 {
		want = append(want, record{
			line: string(bytes.Repeat([]byte{'a' + byte(i)}, logdriver.MaxLineBytes)), source: stdout, at: epoch(),
		})
		if err := s.store(ctx, o.id, uint64(i+1), want[i:]); err != nil {
			return err
		}
	}
	// The client refuses a larger one.
	got, err := s.read(ctx, readLogger(o.id, logdriver.ReadConfig{Tail: -1}))
	if err != nil {
		return err
	}
	return sameBytes(joined(got, stdout), joinedText(want, stdout))
}
