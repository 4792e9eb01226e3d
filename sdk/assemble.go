package sdk

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/logplug/logplug/sdk/internal/service"
	"github.com/logplug/logplug/shared/logdriver"
)

// holdBytes is how much of a batch may wait for the end of a line at most: well
// within a window, so that the host can go on sending.
const holdBytes = service.DefaultWindowBytes / 4

// Assemble returns a logger that hands whole lines to l: the parts of long lines
// are joined, as by an [Assembler].
//
// A part is acknowledged when l has stored it, with its line. Lines that cannot wait
// for their end are stored as far as they have come, and their rest when it comes:
// those whose end does not come within 2 seconds, those that are open when more than
// maxBytes wait for acknowledgements, and those that have not ended when the logger
// is closed. Such messages have a Partial, as those of an Assembler have. A maxBytes
// of 0 or less, or above 512 KiB, means 512 KiB.
//
// Lines may be stored before others of another source that began earlier. A
// logdriver.Sequencer is not passed on, since sequences are stored out
// of order; the other optional interfaces are.
func Assemble(l logdriver.Logger, maxBytes int) logdriver.BatchLogger {
	if maxBytes <= 0 || maxBytes > holdBytes {
		maxBytes = holdBytes
	}
	a := &assembled{
		Logger: l, max: maxBytes,
		pieces: make(map[lineKey]int), cuts: make(map[lineKey]uint64), settled: make(map[uint64]error),
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
	max int // that waits for the end of a line

	pieces  map[lineKey]int    // how many were stored of a line that has not ended
	cuts    map[lineKey]uint64 // the last part of what was to be stored and is not yet
	settled map[uint64]error   // by sequence: stored or rejected, not acknowledged
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

// LogBatch implements logdriver.BatchLogger.
func (a *assembled) LogBatch(ctx context.Context, msgs []*logdriver.Message) error {
	b := batch{assembled: a, msgs: msgs, parts: make(map[lineKey][]int), taken: make(map[lineKey]int)}
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
	taken map[lineKey]int   // how many pieces of a line there will be with the units
}

// unit is what the inner logger sees as one message.
type unit struct {
	msg   *logdriver.Message
	owned bool  // msg is not one of the batch
	from  []int // the indices in the batch that it is made of
	key   lineKey
	more  bool // the line goes on
}

// end returns the index of the last message.
func (u unit) end() int { return u.from[len(u.from)-1] }

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
		if m.Partial.Last || b.cut(key, m) {
			b.addLine(key, m.Partial.Last)
		}
	}
}

// cut tells that the line was to be stored up to m. It is cut there again, and at once,
// so that the logger sees the same message again.
func (b *batch) cut(key lineKey, m *logdriver.Message) bool {
	seq, ok := b.cuts[key]
	return ok && seq == m.Seq
}

// addLine makes a unit of what has come of a line.
func (b *batch) addLine(key lineKey, last bool) {
	pieces, ok := b.taken[key]
	if !ok {
		pieces = b.pieces[key]
	}
	l := openLine{pieces: pieces}
	from := b.parts[key]
	delete(b.parts, key)
	for _, i := range from {
		l.add(b.msgs[i])
	}
	u := unit{msg: l.take(last), owned: true, from: from, key: key, more: !last}
	b.units = append(b.units, u)
	b.taken[key] = 0
	if u.more {
		b.taken[key] = u.msg.Partial.Ordinal
	}
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
	if !u.owned {
		return
	}
	delete(b.cuts, u.key)
	switch _, known := b.pieces[u.key]; {
	case !u.more:
		delete(b.pieces, u.key)
	case known || len(b.pieces) < maxOpenLines:
		b.pieces[u.key] = u.msg.Partial.Ordinal
	} // else what follows is marked by the ordinals of its parts
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

// endOpen stores what there is of lines that go on after this batch, if they cannot
// wait.
func (b *batch) endOpen(ctx context.Context) error {
	if service.UrgencyOf(ctx) == service.Routine && b.heldBytes() <= b.max {
		return nil
	}
	for _, key := range b.order {
		if len(b.parts[key]) > 0 {
			b.addLine(key, false)
		}
	}
	// In the order in which plan has them if they are offered again.
	slices.SortFunc(b.units, func(x, y unit) int { return cmp.Compare(x.end(), y.end()) })
	if len(b.cuts) > maxOpenLines {
		clear(b.cuts) // of lines that were not offered again
	}
	for _, u := range b.units {
		b.cuts[u.key] = u.msg.Seq
	}
	return b.deliver(ctx)
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
