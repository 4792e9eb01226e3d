package logfile

import (
	"errors"
	"fmt"
)

// errNotDurable tells that records may not survive a loss of power.
var errNotDurable = errors.New("make durable")

// savepoint is a place in the current file to which a batch can be taken back.
type savepoint struct {
	pos
	needsSeparator bool
	done           int // messages of the batch before it
}

func (l *Log) savepoint(done int) savepoint {
	return savepoint{pos: l.cur.pos, needsSeparator: l.cur.needsSeparator, done: done}
}

// conclude ends a batch of which done messages were written, and all before s are
// durable. It returns how many are held as Config.Sync says, after a failure too: what
// is reported as held is not offered again.
func (l *Log) conclude(s savepoint, done int, err error) (int, error) {
	if l.cfg.Sync != SyncBatch || done == s.done {
		return done, err
	}
	if !errors.Is(err, errNotDurable) { // else a second attempt may succeed for nothing
		syncErr := l.makeDurable()
		if syncErr == nil {
			return done, err
		}
		err = errors.Join(err, syncErr)
	}
	return s.done, errors.Join(err, l.takeBack(s))
}

func (l *Log) makeDurable() error {
	if err := l.cur.f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errNotDurable, err)
	}
	return nil
}

// takeBack shortens the current file to where it was before.
func (l *Log) takeBack(s savepoint) error {
	l.cur.pos, l.cur.needsSeparator, l.enc = s.pos, s.needsSeparator, l.cfg.Format.NewEncoder()
	var err error
	if indexErr := l.cur.idx.truncate(s.entries); indexErr != nil {
		err = l.abandonIndex(indexErr)
	}
	if truncErr := l.cur.f.Truncate(s.size); truncErr != nil {
		l.cur.torn = true
		err = truncErr
	}
	return err
}
