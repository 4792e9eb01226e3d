package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/logplug/logplug/shared/logdriver"
)

// writeBytes is the size at which a write is made although there are more
// messages.
const writeBytes = 1 << 20

// batch is the memory for encoding.
type batch struct {
	buf  []byte
	ends []int // where the records end in buf
}

// getBatch returns memory for encoding. That of a quiet log is left to the
// garbage collector.
func (l *Log) getBatch() *batch {
	if b, ok := l.batches.Get().(*batch); ok {
		return b
	}
	return new(batch)
}

func (l *Log) putBatch(b *batch) {
	if cap(b.buf) <= 4*writeBytes {
		l.batches.Put(b)
	}
}

// Append writes msgs, in order, as one write where no rotation lies between
// them. It keeps none of them. An error is a *logdriver.BatchError that says how
// many are held; of the others the file holds nothing.
func (l *Log) Append(msgs []*logdriver.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("log to %s: %w", l.cfg.Path, logdriver.ErrClosed)
	}
	done, err := l.append(msgs)
	if done > 0 {
		l.publish()
		l.syncer.written(l)
	}
	if err != nil {
		return &logdriver.BatchError{Done: done, Err: fmt.Errorf("log to %s: %w", l.cfg.Path, err)}
	}
	return nil
}

func (l *Log) append(msgs []*logdriver.Message) (int, error) {
	if err := l.ready(); err != nil {
		return 0, err
	}
	b := l.getBatch()
	defer l.putBatch(b)
	durable := l.savepoint(0)
	for done := 0; ; {
		if done == len(msgs) {
			return l.conclude(durable, done, nil)
		}
		if l.full() {
			if err := l.rotate(); err != nil {
				return l.conclude(durable, done, err)
			}
			durable = l.savepoint(done)
		}
		n, err := l.appendSome(b, msgs[done:])
		if done += n; err != nil {
			return l.conclude(durable, done, err)
		}
	}
}

// appendSome appends the first messages, at least one as a rule, and returns how many.
func (l *Log) appendSome(b *batch, msgs []*logdriver.Message) (int, error) {
	if err := l.claim(msgs[0].Seq); err != nil {
		return 0, err
	}
	return l.write(b, msgs)
}

// full tells whether the next record belongs into a new file.
func (l *Log) full() bool { return l.cfg.MaxSize > 0 && l.cur.size >= l.cfg.MaxSize }

// claim makes sure that the index tells the sequence of the next record,
// before there is one.
func (l *Log) claim(seq uint64) error {
	if seq == l.cur.nextSeq {
		return nil
	}
	l.cur.nextSeq = seq
	err := l.cur.addEntry()
	if err == nil && l.cfg.Sync == SyncBatch {
		err = l.cur.idx.sync()
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		l.cur.nextSeq = unclaimed
		return err
	}
	return l.abandonIndex(err)
}

// abandonIndex goes on without an index, which must not make a wrong claim.
func (l *Log) abandonIndex(cause error) error {
	if l.cur.idx == nil {
		return nil
	}
	name := l.names.index(0)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.cur.nextSeq = unclaimed
		return errors.Join(cause, err)
	}
	l.cur.idx.close()
	l.cur.idx = nil
	l.cfg.OnError(fmt.Errorf("go on without index: %w", cause))
	return nil
}

// write encodes messages up to the first that needs something done before, and
// writes them. It returns how many the file holds.
func (l *Log) write(b *batch, msgs []*logdriver.Message) (int, error) {
	next := l.encode(b, msgs)
	n, err := l.cur.f.Write(b.buf)
	if err != nil {
		return l.salvage(b, msgs, n), err
	}
	l.cur.needsSeparator = false
	l.cur.size += int64(n)
	l.cur.pos = next.at(l.cur.size)
	if l.cur.size-l.cur.indexed >= indexSpacing {
		if err := l.mark(); err != nil {
			l.cfg.OnError(err) // reading becomes slower, no more
		}
	}
	return len(b.ends), nil
}

func (p pos) at(size int64) pos {
	p.size = size
	return p
}

// encode fills b, and returns the place after what it holds; its size is
// that of before.
func (l *Log) encode(b *batch, msgs []*logdriver.Message) pos {
	buf, ends, p := b.buf[:0], b.ends[:0], l.cur.pos
	if l.cur.needsSeparator {
		buf = append(buf, l.cfg.Format.Separator()...)
	}
	room := int64(writeBytes)
	if l.cfg.MaxSize > 0 {
		room = min(room, l.cfg.MaxSize-l.cur.size)
	}
	for _, m := range msgs {
		if m.Seq != p.nextSeq || int64(len(buf)) >= room {
			break
		}
		buf = l.enc.Append(buf, m)
		ends = append(ends, len(buf))
		p.count(m)
	}
	b.buf, b.ends = buf, ends
	return p
}

// count takes a record into account.
func (p *pos) count(m *logdriver.Message) {
	p.records++
	if p.nextSeq != 0 {
		p.nextSeq++
	}
	if t := Nanos(m.Timestamp); t > p.maxTime {
		p.maxTime = t
	}
}

// salvage keeps the whole records of a write of which only n bytes were written,
// and takes back the rest.
func (l *Log) salvage(b *batch, msgs []*logdriver.Message, n int) (kept int) {
	l.enc = l.cfg.Format.NewEncoder()
	for kept < len(b.ends) && b.ends[kept] <= n {
		l.cur.count(msgs[kept])
		kept++
	}
	if kept > 0 {
		l.cur.size += int64(b.ends[kept-1])
		l.cur.needsSeparator = false
	}
	if err := l.cur.f.Truncate(l.cur.size); err != nil {
		l.cur.torn = true
	}
	return kept
}

// addEntry puts the current place into the index.
func (c *current) addEntry() error {
	if c.idx == nil {
		return nil
	}
	sum, err := anchor(c.f, c.size)
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	e := entry{offset: c.size, maxTime: c.maxTime, records: c.records, seq: c.claim(), stream: c.stream, anchor: sum}
	if err := c.idx.add(&e); err != nil {
		return err
	}
	c.indexed, c.entries = c.size, c.idx.n
	return nil
}

// mark is addEntry if it would tell something new.
func (l *Log) mark() error {
	if l.cur.size == l.cur.indexed {
		return nil
	}
	return l.cur.addEntry()
}

// ready makes the current file fit to be written to, whatever others
// did to it.
func (l *Log) ready() error {
	if l.cur.torn {
		if err := l.cur.f.Truncate(l.cur.size); err != nil {
			return fmt.Errorf("take back an incomplete write: %w", err)
		}
		l.cur.torn = false
	}
	size, linked, err := l.cur.f.status()
	switch {
	case err != nil:
		return err
	case !linked:
		return l.replace(false)
	case size != l.cur.size:
		return l.resume()
	}
	return nil
}
