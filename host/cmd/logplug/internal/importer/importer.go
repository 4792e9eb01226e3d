package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// checkpointBytes and checkpointTime are after how much, or how long, it is noted
	// how far the import got.
	checkpointBytes = 32 << 20
	checkpointTime  = 2 * time.Second
)

// Progress is how far an import is.
type Progress struct {
	// Bytes of Total are read, as they are stored.
	Bytes, Total int64
	// Messages were logged by this run.
	Messages uint64
}

// Config says what an Importer works with.
type Config struct {
	Logger host.Logger
	Files  []File
	// State is where to go on, with Format set, and StatePath its file.
	State     *State
	StatePath string
	// OnProgress, if not nil, is called after each piece of work.
	OnProgress func(Progress)
	// OnDamage, if not nil, is told of what is skipped.
	OnDamage func(error)
}

// Importer imports log files.
type Importer struct {
	cfg   Config
	st    *State
	em    emitter
	last  uint64 // the number of the message before the next one
	held  uint64 // the driver has everything up to this one
	at    identity
	begun Damage // of the file, when the state was saved
	done  int64  // stored bytes of files before
	count uint64
	saved time.Time
	since int64 // bytes since then
}

// MovedError reports that the file at which an import stopped is not there any more.
type MovedError struct{ StatePath string }

func (e *MovedError) Error() string {
	return fmt.Sprintf("the file at which the import stopped is not among these any more: it may have been rotated away; to import what there is once more, choose another --id, or remove %s", e.StatePath)
}

// New returns an importer that goes on at the state.
func New(cfg Config) *Importer {
	im := &Importer{cfg: cfg, st: cfg.State}
	if im.st.Size == 0 {
		im.st.Size = logdriver.DefaultBufSize
		if n := cfg.Logger.BufSize(); n > 0 {
			im.st.Size = min(n, logdriver.MaxLineBytes)
		}
	}
	im.em = emitter{size: im.st.Size, lines: maps.Clone(im.st.Lines), emit: im.log}
	if im.em.lines == nil {
		im.em.lines = map[string]open{}
	}
	im.last = im.st.Last
	if p, ok := cfg.Logger.(host.Positioner); ok {
		_, im.held = p.Position()
		if im.held < im.last { // the driver does not remember; the host counts from there
			im.last = im.held
		}
	}
	return im
}

// Run imports until the files end, ctx ends, or something fails. It may be run again
// by another Importer with the same state.
func (im *Importer) Run(ctx context.Context) error {
	first, offset, err := im.start()
	if err != nil {
		return err
	}
	// The stream has to be known before the driver is given anything under it.
	if err := im.st.Save(im.cfg.StatePath); err != nil {
		return err
	}
	var total int64
	for i := range im.cfg.Files {
		total += im.cfg.Files[i].Size
	}
	im.saved = time.Now()
	for i := range im.cfg.Files[:first] {
		im.done += im.cfg.Files[i].Size
	}
	for i := first; i < len(im.cfg.Files); i++ {
		newest := i == len(im.cfg.Files)-1
		if err := im.file(ctx, &im.cfg.Files[i], offset, total, newest); err != nil {
			return err
		}
		offset = 0
		im.done += im.cfg.Files[i].Size
	}
	return nil
}

// start finds where to go on.
func (im *Importer) start() (first int, offset int64, err error) {
	if im.st.File.Sum == "" {
		return 0, 0, nil
	}
	for i := range im.cfg.Files {
		id, err := im.cfg.Files[i].identify(im.st.File.Bytes)
		if isDamage(err) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		if id == im.st.File {
			return i, im.st.Offset, nil
		}
	}
	return 0, 0, &MovedError{im.cfg.StatePath}
}

// file imports one file from offset on.
func (im *Importer) file(ctx context.Context, f *File, offset, total int64, newest bool) (err error) {
	id, err := f.identify(identityBytes)
	if err != nil {
		return im.unreadable(f, err)
	}
	if id.Bytes == 0 {
		return nil // an empty file is like any other
	}
	im.at, im.begun = id, Damage{}
	r, err := f.open()
	if err != nil {
		return im.unreadable(f, err)
	}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		return im.unreadable(f, fmt.Errorf("go to offset %d: %w", offset, err))
	}
	in := newInput(r)
	in.offset = offset
	err = im.records(ctx, in, func() {
		if im.cfg.OnProgress != nil {
			im.cfg.OnProgress(Progress{Bytes: im.done + r.raw.n, Total: total, Messages: im.count})
		}
	})
	if err != nil && !errors.Is(err, io.EOF) {
		var read *readError
		if !errors.As(err, &read) {
			return err
		}
		if err := im.unreadable(f, read.err); err != nil {
			return err
		}
	}
	var incomplete *incompleteError
	switch {
	case !errors.As(err, &incomplete):
	case newest:
		im.tell(fmt.Errorf("%s: the %d bytes at the end are not a whole record; they are left for another import", f.Path, incomplete.bytes))
	default:
		in.lose(int64(incomplete.bytes)) // nobody will complete it
	}
	if in.damage.Places > 0 {
		im.tell(fmt.Errorf("%s: skipped %d bytes at %d places that are no records", f.Path, in.damage.Bytes, in.damage.Places))
	}
	return im.checkpoint(ctx, in)
}

// unreadable tells of a compressed file that is damaged. Other errors end the import:
// the file may be readable later.
func (im *Importer) unreadable(f *File, err error) error {
	if !isDamage(err) {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	im.tell(fmt.Errorf("%s cannot be decompressed from some place on, and is skipped there: %w", f.Path, err))
	im.st.Damage.Places++
	return nil
}

func (im *Importer) tell(err error) {
	if im.cfg.OnDamage != nil {
		im.cfg.OnDamage(err)
	}
}

// readError tells an error of reading from others.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// progressEvery is after how many records the progress is told.
const progressEvery = 256

// records logs the records of a file. It returns io.EOF at its end.
func (im *Importer) records(ctx context.Context, in *input, progress func()) error {
	d, e := im.st.Format.decoder(), new(entry)
	defer progress()
	for n := 1; ; n++ {
		if n%progressEvery == 0 {
			progress()
			if ctx.Err() != nil {
				return errors.Join(context.Cause(ctx), im.checkpoint(context.WithoutCancel(ctx), in))
			}
		}
		before := in.offset
		err := d.next(in, e)
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return err
		case err != nil:
			return &readError{err}
		}
		if err := im.em.entry(e, im.at.Sum, before); err != nil {
			return err
		}
		im.since += in.offset - before
		if im.since >= checkpointBytes || time.Since(im.saved) >= checkpointTime {
			if err := im.checkpoint(ctx, in); err != nil {
				return err
			}
		}
	}
}

// log logs m, unless the driver has it already.
func (im *Importer) log(m *logdriver.Message) error {
	if err := m.CheckMeta(); err != nil {
		logdriver.PutMessage(m)
		im.st.Rejected++
		im.tell(err)
		return nil
	}
	im.last++
	im.st.Messages++
	if im.last <= im.held {
		logdriver.PutMessage(m)
		return nil
	}
	im.count++
	if err := im.cfg.Logger.Log(m); err != nil {
		logdriver.PutMessage(m)
		return fmt.Errorf("log a message: %w", err)
	}
	return nil
}

// checkpoint waits until the driver has everything, and notes that.
func (im *Importer) checkpoint(ctx context.Context, in *input) error {
	if im.count > 0 {
		if err := im.cfg.Logger.Flush(ctx); err != nil {
			return fmt.Errorf("wait for the driver: %w", err)
		}
	}
	im.st.Damage.Places += in.damage.Places - im.begun.Places
	im.st.Damage.Bytes += in.damage.Bytes - im.begun.Bytes
	im.begun = in.damage
	im.st.Last, im.st.File, im.st.Offset = im.last, im.at, in.offset
	im.st.Lines = maps.Clone(im.em.lines)
	im.saved, im.since = time.Now(), 0
	return im.st.Save(im.cfg.StatePath)
}
