package sdk

import (
	"context"
	"errors"

	"github.com/logplug/logplug/sdk/internal/service"
	"github.com/logplug/logplug/shared/logdriver"
)

// holdBytes is how much of a batch may wait for the end of a line before its
// parts are acknowledged: well within the smallest window.
const holdBytes = service.DefaultWindowBytes / 4

// Assemble returns a logger that hands whole lines to l: the parts of long lines
// are joined, as by an [Assembler] with the given bound.
//
// A part is acknowledged when l has stored its line. There are two exceptions:
// lines of which more than 256 KiB have come, and lines whose end does not come
// within 2 seconds. Their parts are acknowledged while they wait in memory, and
// are lost if the process of the driver is killed before the line ends.
//
// Lines may be stored before others of another source that began earlier.
// Close stores lines that did not end; their Partial tells that. A
// logdriver.Sequencer is not passed on, since sequences are stored out
// of order; the other optional interfaces are.
func Assemble(l logdriver.Logger, maxBytes int) logdriver.BatchLogger {
	if maxBytes <= 0 {
		maxBytes = DefaultLineBytes
	}
	a := &assembled{
		Logger: l, max: maxBytes,
		lines: make(map[lineKey]*openLine), settled: make(map[uint64]error),
	}
	if r, ok := l.(logdriver.LogReader); ok {
		return &assembledReader{a, r}
	}
	return a
}

type assembledReader struct {
	*assembled
	logdriver.LogReader
}

type assembled struct {
	logdriver.Logger
	max int

	bytes   int                   // in lines
	lines   map[lineKey]*openLine // whose parts have been acknowledged
	settled map[uint64]error      // by sequence: stored or rejected, not acknowledged
}

// BufSize implements logdriver.SizedLogger.
func (a *assembled) BufSize() int {
	if s, ok := a.Logger.(logdriver.SizedLogger); ok {
		return s.BufSize()
	}
	return 0
}

// Flush implements logdriver.Flusher.
func (a *assembled) Flush(ctx context.Context) error {
	if f, ok := a.Logger.(logdriver.Flusher); ok {
		return f.Flush(ctx)
	}
	return nil
}

// Log is not called where LogBatch is: it stores m as it is.
func (a *assembled) Log(m *logdriver.Message) error { return a.Logger.Log(m) }

// Close stores what is in memory and closes the logger.
func (a *assembled) Close() error {
	b := batch{assembled: a}
	for key, l := range a.lines {
		if l.msg != nil {
			b.units = append(b.units, unit{msg: l.clone().take(false), key: key, owned: true})
		}
	}
	err := b.deliver(context.Background())
	return errors.Join(err, a.Logger.Close())
}

// LogBatch implements logdriver.BatchLogger.
func (a *assembled) LogBatch(ctx context.Context, msgs []*logdriver.Message) error {
	b := batch{assembled: a, msgs: msgs, parts: make(map[lineKey][]int)}
	b.plan()
	err := b.deliver(ctx)
	if err == nil {
		err = b.endOpen(ctx)
	}
	return b.result(err)
}

// batch is one call of LogBatch.
type batch struct {
	*assembled
	msgs  []*logdriver.Message
	units []unit
	parts map[lineKey][]int // of lines that do not end in this batch
	order []lineKey         // of parts
}

// unit is what the inner logger sees as one message.
type unit struct {
	msg   *logdriver.Message
	owned bool  // msg is not one of the batch
	from  []int // the indices in the batch that it is made of
	key   lineKey
	more  bool // the line goes on
}

// plan finds what is complete.
func (b *batch) plan() {
	for i, m := range b.msgs {
		if _, done := b.settled[m.Seq]; done && m.Seq != 0 {
			continue
		}
		if !m.Partial.IsPartial() {
			b.units = append(b.units, unit{msg: m, from: []int{i}})
			continue
		}
		key := keyOf(m)
		if len(b.parts[key]) == 0 {
			b.order = append(b.order, key)
		}
		b.parts[key] = append(b.parts[key], i)
		if m.Partial.Last {
			b.addLine(key, true)
		}
	}
}

// addLine makes a unit of what has come of a line.
func (b *batch) addLine(key lineKey, last bool) {
	l := b.lines[key].clone()
	from := b.parts[key]
	delete(b.parts, key)
	for _, i := range from {
		l.add(b.msgs[i])
	}
	b.units = append(b.units, unit{msg: l.take(last), owned: true, from: from, key: key, more: !last})
}

// deliver stores the units and forgets them. What is stored is remembered even if
// the rest is not.
func (b *batch) deliver(ctx context.Context) error {
	if len(b.units) == 0 {
		return nil
	}
	done, rejected, err := b.store(ctx)
	for i, u := range b.units {
		if i < done {
			b.settle(u, rejected[i])
		}
		if u.owned {
			logdriver.PutMessage(u.msg)
		}
	}
	b.units = b.units[:0]
	return err
}

func (b *batch) settle(u unit, rejected error) {
	for _, i := range u.from {
		b.settled[b.msgs[i].Seq] = rejected
	}
	l := b.lines[u.key]
	if u.key == (lineKey{}) || (l == nil && !u.more) {
		return
	}
	if l == nil && len(b.lines) >= maxOpenLines {
		return // what follows is marked by the ordinals of its parts
	}
	if l == nil {
		l = new(openLine)
		b.lines[u.key] = l
	}
	b.forgetParts(l)
	l.pieces = u.msg.Partial.Ordinal
	if !u.more {
		delete(b.lines, u.key)
	}
}

func (b *batch) forgetParts(l *openLine) {
	if l.msg != nil {
		b.bytes -= len(l.msg.Line)
		logdriver.PutMessage(l.msg)
		l.msg = nil
	}
}

// store hands the units to the inner logger.
func (b *batch) store(ctx context.Context) (done int, rejected map[int]error, err error) {
	msgs := make([]*logdriver.Message, len(b.units))
	for i, u := range b.units {
		msgs[i] = u.msg
	}
	inner, ok := b.Logger.(logdriver.BatchLogger)
	if !ok {
		return b.storeEach(msgs)
	}
	err = inner.LogBatch(ctx, msgs)
	var partial *logdriver.BatchError
	switch {
	case err == nil:
		return len(msgs), nil, nil
	case errors.As(err, &partial):
		done, rejected, err = min(max(partial.Done, 0), len(msgs)), partial.Rejected, partial.Err
		if done < len(msgs) && err == nil {
			err = partial
		}
	}
	if !logdriver.IsPermanent(err) {
		return done, rejected, err
	}
	all := make(map[int]error, len(msgs))
	for i := range msgs {
		all[i] = rejected[i]
		if i >= done {
			all[i] = err
		}
	}
	return len(msgs), all, nil
}

func (b *batch) storeEach(msgs []*logdriver.Message) (done int, rejected map[int]error, err error) {
	rejected = make(map[int]error)
	for i, src := range msgs {
		m := logdriver.NewMessage()
		m.CopyFrom(src)
		if err := b.Logger.Log(m); err != nil {
			logdriver.PutMessage(m)
			if !logdriver.IsPermanent(err) {
				return i, rejected, err
			}
			rejected[i] = err
		}
	}
	return len(msgs), rejected, nil
}

// endOpen deals with lines that go on after this batch, if they cannot wait.
func (b *batch) endOpen(ctx context.Context) error {
	urgency := service.UrgencyOf(ctx)
	if urgency == service.Routine && b.heldBytes() <= holdBytes {
		return nil
	}
	for _, key := range b.order {
		from := b.parts[key]
		if len(from) == 0 {
			continue
		}
		size := 0
		for _, i := range from {
			size += len(b.msgs[i].Line)
		}
		if urgency == service.Closing || b.bytes+size > b.max || len(b.lines) >= maxOpenLines {
			b.addLine(key, false)
			continue
		}
		b.absorb(key, size)
	}
	return b.deliver(ctx)
}

// absorb takes parts into memory.
func (b *batch) absorb(key lineKey, size int) {
	l := b.lines[key]
	if l == nil {
		l = new(openLine)
		b.lines[key] = l
	}
	for _, i := range b.parts[key] {
		l.add(b.msgs[i])
		b.settled[b.msgs[i].Seq] = nil
	}
	b.bytes += size
	delete(b.parts, key)
}

// heldBytes returns how much would stay unacknowledged.
func (b *batch) heldBytes() int {
	n := 0
	for _, m := range b.msgs[b.prefix():] {
		n += len(m.Line)
	}
	return n
}

// prefix returns how many messages from the front are settled.
func (b *batch) prefix() int {
	for i, m := range b.msgs {
		if _, done := b.settled[m.Seq]; !done {
			return i
		}
	}
	return len(b.msgs)
}

// result acknowledges what is settled from the front.
func (b *batch) result(err error) error {
	done := b.prefix()
	var rejected map[int]error
	for i, m := range b.msgs[:done] {
		if reason := b.settled[m.Seq]; reason != nil {
			if rejected == nil {
				rejected = make(map[int]error)
			}
			rejected[i] = reason
		}
		delete(b.settled, m.Seq)
	}
	if done == len(b.msgs) && rejected == nil {
		return nil
	}
	if err == nil && done < len(b.msgs) {
		err = service.ErrHold
	}
	return &logdriver.BatchError{Done: done, Rejected: rejected, Err: err}
}
