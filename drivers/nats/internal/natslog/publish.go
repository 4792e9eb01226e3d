package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/logplug/logplug/shared/logdriver"
)

// Headers of atomic batches, see
// https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md.
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

const (
	// maxBatch is the most messages that a server takes in one atomic batch.
	maxBatch = 1000
	// maxBatchBytes bounds what the server holds back of one batch.
	maxBatchBytes = 4 << 20
)

// batch is what LogBatch was given, and how much of it is settled.
type batch struct {
	*logger
	msgs     []*logdriver.Message
	done     int
	rejected map[int]error
	parts    []part // being published
}

// store publishes what is not settled.
func (b *batch) store(ctx context.Context) error {
	if !b.synced {
		wait, cancel := context.WithTimeout(ctx, b.timeout)
		defer cancel()
		if err := b.sync(wait); err != nil {
			return err
		}
	}
	for b.done < len(b.msgs) {
		if b.skip() {
			continue
		}
		if err := b.publish(ctx); err != nil {
			b.synced = false
			return err
		}
	}
	return nil
}

// skip settles the next message if the stream has it already.
func (b *batch) skip() bool {
	b.mu.Lock()
	held := b.state.held(b.id)
	b.mu.Unlock()
	seq := b.msgs[b.done].Seq
	if seq == 0 || seq > held {
		return false
	}
	b.done++
	return true
}

// part is a message to publish: a line, or a piece of one that is too long for one
// message. The last piece is the line; those before it are events.
type part struct {
	line   *logdriver.Message
	data   []byte
	pieces int // how many come before, with the last one; -1 with those before it
}

// publish stores the next messages, as many as one batch takes.
func (b *batch) publish(ctx context.Context) error {
	if err := b.note(ctx, eventOpen); err != nil {
		return err
	}
	n := b.collect()
	defer clear(b.parts)
	if n == 0 {
		return nil // it was rejected
	}
	if len(b.parts) > 1 && b.atomic && b.pace.favours(len(b.parts)) {
		return b.publishBatch(ctx, n)
	}
	return b.publishEach(ctx)
}

// collect makes parts of the next n messages, which make a batch. It rejects the
// first one if the stream cannot take it.
func (b *batch) collect() (n int) {
	bytes := 0
	b.parts = b.parts[:0]
	for b.done+n < len(b.msgs) {
		m := b.msgs[b.done+n]
		overhead := b.overhead(m)
		room := b.largest - overhead
		pieces := 0
		if len(m.Line) > room {
			pieces = (len(m.Line) - room + b.pieceBytes() - 1) / max(b.pieceBytes(), 1)
		}
		size := len(m.Line) + overhead
		switch {
		case room < 0 || b.pieceBytes() <= 0 || pieces >= maxBatch:
			if n == 0 {
				b.reject(overhead)
			}
			return n
		case n > 0 && (!b.atomic || bytes+size > maxBatchBytes || len(b.parts)+pieces+1 > maxBatch):
			return n
		}
		b.split(m, pieces)
		bytes += size
		n++
	}
	return n
}

// split appends the parts of a line.
func (b *batch) split(m *logdriver.Message, pieces int) {
	data := m.Line
	for range pieces {
		piece := data[:min(len(data), b.pieceBytes())]
		data = data[len(piece):]
		b.parts = append(b.parts, part{m, piece, -1})
	}
	b.parts = append(b.parts, part{m, data, pieces})
}

// usualHeaders is more than what headers take but for attributes, the source and
// the ID of a partial line: times, numbers, writers.
const usualHeaders = 1536

// pieceBytes is how much of a line that is too long a message takes.
func (b *batch) pieceBytes() int { return b.largest - usualHeaders }

// overhead is what the headers of m take at most.
func (b *batch) overhead(m *logdriver.Message) int {
	attrs := 0
	for i := range m.Attrs {
		attrs += len(m.Attrs[i].Key) + len(m.Attrs[i].Value) + len(`"":"",`)
	}
	if len(m.Line)+headroom <= b.largest && len(b.encoder.fixed)+maxJSONGrowth*attrs < headroom/2 {
		return usualHeaders + attrs // there is room for the others, and for the attributes however they are encoded
	}
	b.encoder.line(m, m.Line, 0, m.Timestamp)
	n := b.encoder.headerBytes() + usualHeaders
	if n > headroom {
		return b.largest + n // the server refuses it
	}
	return n
}

func (b *batch) reject(size int) {
	if b.rejected == nil {
		b.rejected = make(map[int]error)
	}
	b.rejected[b.done] = fmt.Errorf("%w: its headers take about %d bytes; the server takes messages of %d bytes, with at most %d for headers: raise max_payload and the stream's max_msg_size, or log fewer attributes",
		logdriver.ErrMessageTooLarge, size, b.largest, headroom)
	b.done++
}

// encode makes the message for a part, as one that follows s, and returns the state
// with it.
func (b *batch) encode(p part, s state) state {
	m := p.line
	if m.Timestamp.After(s.peak) {
		s.peak = m.Timestamp
	}
	s.closed = false
	if p.pieces < 0 {
		b.encoder.event(eventPiece, s.index+1, s.peak)
		b.encoder.msg.Data = p.data
		return s
	}
	s.index++
	b.encoder.line(m, p.data, s.index, s.peak)
	b.encoder.setFollows(s.follows)
	s.follows = 0
	if p.pieces > 0 {
		b.encoder.set(headerPieces, strconv.Itoa(p.pieces))
	}
	seq := m.Seq
	if seq == 0 { // nobody counts
		seq = s.held(b.id) + 1
	}
	s.advance(b.id, seq)
	return s
}

// publishEach publishes the parts one by one.
func (b *batch) publishEach(ctx context.Context) error {
	s := b.snapshot()
	for _, p := range b.parts {
		before := s.at
		s = b.encode(p, s)
		b.encoder.setWriters(s.writers)
		at, err := b.publishOne(ctx, before)
		if err != nil {
			return err
		}
		s.at = at
		if p.pieces >= 0 {
			b.advance(s.clone())
			b.done++
		}
	}
	return nil
}

// publishBatch publishes the parts of n messages, of which the stream stores all or
// none.
func (b *batch) publishBatch(ctx context.Context, n int) error {
	select {
	case b.batches <- struct{}{}:
		defer func() { <-b.batches }()
	case <-ctx.Done():
		return fmt.Errorf("publish to subject %q: other batches are under way: %w", b.subject, ctx.Err())
	}
	conn, err := b.now()
	if err != nil {
		return err
	}
	s, id, e := b.snapshot(), nuid.Next(), b.encoder
	for i, p := range b.parts {
		s = b.encode(p, s)
		e.set(headerBatchID, id)
		e.set(headerBatchSeq, strconv.Itoa(i+1))
		if i == 0 {
			e.set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(s.at, 10))
			e.set(jetstream.ExpectedStreamHeader, b.stream.name)
		}
		if i < len(b.parts)-1 {
			if err := conn.PublishMsg(&e.msg); err != nil {
				return b.trouble(err)
			}
		}
	}
	e.set(headerBatchCommit, "1")
	e.setWriters(s.writers)
	began := time.Now()
	ack, err := b.request(ctx, conn)
	if err != nil {
		return err
	}
	took(&b.pace.batch, began)
	if ack.BatchSize != len(b.parts) {
		return b.trouble(fmt.Errorf("of an atomic batch of %d messages the server has stored %d: the cluster may be in the middle of an upgrade", len(b.parts), ack.BatchSize))
	}
	s.at = ack.Sequence
	b.advance(s)
	b.done += n
	return nil
}

// publishOne publishes what the encoder holds as the message that follows the one
// at the given place. It returns the place of the new one.
func (l *logger) publishOne(ctx context.Context, behind uint64) (uint64, error) {
	conn, err := l.now()
	if err != nil {
		return 0, err
	}
	l.encoder.set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(behind, 10))
	l.encoder.set(jetstream.ExpectedStreamHeader, l.stream.name)
	began := time.Now()
	ack, err := l.request(ctx, conn)
	if err != nil {
		return 0, err
	}
	took(&l.pace.single, began)
	return ack.Sequence, nil
}

// ack is the answer to a message that the stream has stored.
type ack struct {
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	BatchSize int                 `json:"count"`
	Error     *jetstream.APIError `json:"error"`
}

// request publishes what the encoder holds, and waits for the acknowledgement.
func (l *logger) request(ctx context.Context, conn *nats.Conn) (ack, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	resp, err := conn.RequestMsgWithContext(ctx, &l.encoder.msg)
	if err != nil {
		return ack{}, l.trouble(err)
	}
	var a ack
	if err := json.Unmarshal(resp.Data, &a); err != nil {
		return ack{}, l.trouble(fmt.Errorf("the answer is damaged: %w", err))
	}
	if a.Error != nil {
		return ack{}, l.trouble(a.Error)
	}
	if a.Stream != l.stream.name || a.Sequence == 0 {
		return ack{}, l.trouble(fmt.Errorf("the stream %q has answered", a.Stream))
	}
	return a, nil
}

// trouble says what was being done, and what may help.
func (l *logger) trouble(err error) error {
	hint := ""
	var answer *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		hint = " (no stream listens, or it has no leader now)"
	case errors.Is(err, context.DeadlineExceeded):
		hint = fmt.Sprintf(" (no answer within %v)", l.timeout.Round(time.Millisecond))
	case !errors.As(err, &answer):
	case answer.ErrorCode == codeBatchIncomplete, answer.ErrorCode == codeTooManyBatches:
		hint = " (the stream's leader has changed, or more batches are under way than the server takes)"
	case answer.ErrorCode == codeStoreFailed:
		hint = " (is the stream full? with discard=new it takes messages again when others were removed)"
	}
	return fmt.Errorf("publish to subject %q of the stream %q: %w%s", l.subject, l.stream.name, err, hint)
}

// isConflict tells that the log has another last message than was expected.
func isConflict(err error) bool {
	var answer *jetstream.APIError
	return errors.As(err, &answer) && (answer.ErrorCode == codeWrongSequence || answer.ErrorCode == codeSequenceBusy)
}
