package natslog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// log is a subject of a stream: one source's logs.
type log struct {
	*link
	stream  stream
	subject string
	timeout time.Duration
}

// key names the log among those of its link.
func (l *log) key() string { return l.stream.name + " " + l.subject }

// stored is a message in the stream.
type stored struct {
	seq     uint64 // in the stream
	subject string
	header  nats.Header
	time    time.Time // when it was stored
}

var errNoMessage = errors.New("no such message")

// last returns the last message of the log, as the stream's leader knows it. It
// returns errNoMessage if there is none.
func (l *log) last(ctx context.Context) (stored, error) {
	return l.ask(ctx, map[string]any{"last_by_subj": l.subject})
}

// next returns the first message of the log at or behind a sequence number.
func (l *log) next(ctx context.Context, seq uint64) (stored, error) {
	return l.ask(ctx, map[string]any{"seq": max(seq, 1), "next_by_subj": l.subject})
}

// ask gets a message by the API that only the leader of the stream answers, see
// https://docs.nats.io/reference/reference-protocols/nats_api_reference: others
// may lag behind.
func (l *log) ask(ctx context.Context, request map[string]any) (stored, error) {
	conn, err := l.get(ctx)
	if err != nil {
		return stored{}, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return stored{}, fmt.Errorf("make a request: %w", err)
	}
	resp, err := conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+l.stream.name, body)
	if err != nil {
		return stored{}, fmt.Errorf("look up messages of subject %q in the stream %q: %w", l.subject, l.stream.name, err)
	}
	var answer struct {
		Message *struct {
			Seq     uint64    `json:"seq"`
			Subject string    `json:"subject"`
			Header  []byte    `json:"hdrs"`
			Time    time.Time `json:"time"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(resp.Data, &answer); err != nil {
		return stored{}, fmt.Errorf("look up messages of subject %q: the answer is damaged: %w", l.subject, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == codeNoMessage:
		return stored{}, errNoMessage
	case answer.Error != nil && answer.Error.ErrorCode == codeStreamIsNotThere:
		return stored{}, fmt.Errorf("%w: %q", errNoStream, l.stream.name)
	case answer.Error != nil:
		return stored{}, fmt.Errorf("look up messages of subject %q in the stream %q: %w", l.subject, l.stream.name, answer.Error)
	case answer.Message == nil:
		return stored{}, errNoMessage
	}
	s := stored{seq: answer.Message.Seq, subject: answer.Message.Subject, time: answer.Message.Time}
	if len(answer.Message.Header) > 0 {
		// Damaged ones are as good as none: the message is another program's.
		s.header, _ = nats.DecodeHeadersMsg(answer.Message.Header)
	}
	return s, nil
}

// state is what the last message of a log tells.
type state struct {
	at      uint64 // its sequence in the stream, 0 if the log is empty
	index   uint64 // of the last line
	follows uint64 // of the last line that is known, if index is above it because the log was empty then
	peak    time.Time
	writers []writer // the latest first
	closed  bool
}

// parse reads the headers of a message. One of another program, or a damaged one,
// counts as a line whose index is its place in the stream: that is not below the
// index of any line before it.
func (m *stored) parse() meta {
	got, err := parseMeta(m.header, m.time)
	if err != nil {
		got = meta{time: m.time, peak: m.time}
	}
	if got.index == 0 {
		got.index = m.seq
	}
	return got
}

// stateOf reads the last message of a log.
func stateOf(m stored) state {
	got := m.parse()
	s := state{at: m.seq, index: got.index, peak: got.peak, closed: got.event == eventClose}
	if got.event == eventPiece {
		s.index-- // the line is not complete
	}
	if got.event != "" {
		s.follows = got.follows
	}
	if writers, err := parseWriters(m.header.Get(headerWriters)); err == nil {
		s.writers = writers
	}
	return s
}

// line returns the number of the last line that was there.
func (s *state) line() uint64 { return cmp.Or(s.follows, s.index) }

// held returns how far a writer got.
func (s *state) held(stream string) uint64 {
	for _, w := range s.writers {
		if w.Stream == stream {
			return w.Seq
		}
	}
	return 0
}

// advance notes that a writer got further.
func (s *state) advance(stream string, seq uint64) {
	i := slices.IndexFunc(s.writers, func(w writer) bool { return w.Stream == stream })
	switch {
	case i < 0:
		s.writers = slices.Insert(s.writers, 0, writer{})
		s.writers = s.writers[:min(len(s.writers), maxWriters)]
	case i > 0:
		copy(s.writers[1:i+1], s.writers[:i])
	}
	s.writers[0] = writer{stream, seq}
}

func (s *state) clone() state {
	c := *s
	c.writers = slices.Clone(s.writers)
	return c
}

// current asks for the state of the log. Of an empty one, floor is taken for
// the index.
func (l *log) current(ctx context.Context, floor uint64) (state, error) {
	m, err := l.last(ctx)
	if errors.Is(err, errNoMessage) {
		return state{index: floor}, nil
	}
	if err != nil {
		return state{}, err
	}
	return stateOf(m), nil
}

// search returns the sequence of the first message of the log for which ok
// holds, and end where it holds for none before end. ok must hold for all messages
// behind one for which it holds. It takes a request for each halving of the range.
func (l *log) search(ctx context.Context, end uint64, ok func(meta) bool) (uint64, error) {
	found := end
	low, high := uint64(0), end // what is sought is in (low, high], or it is found
	for low+1 < high {
		middle := low + (high-low)/2
		if low == 0 && high == end {
			middle = 1 // the first message: all of the log is often asked for
		}
		m, err := l.next(ctx, middle)
		switch {
		case errors.Is(err, errNoMessage) || (err == nil && m.seq >= high):
			high = middle
			continue
		case err != nil:
			return 0, err
		}
		if ok(m.parse()) {
			found, high = m.seq, middle
		} else {
			low = m.seq
		}
	}
	return found, nil
}
