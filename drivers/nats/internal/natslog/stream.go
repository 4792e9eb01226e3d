package natslog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/shared/logdriver"
)

// Error codes of JetStream's API that the library has no names for.
const (
	codeSubjectsOverlap  jetstream.ErrorCode = 10065
	codeNoMessage        jetstream.ErrorCode = 10037
	codeWrongSequence    jetstream.ErrorCode = 10071 // the last message is another one
	codeSequenceBusy     jetstream.ErrorCode = 10164 // another one is being stored
	codeBatchIncomplete  jetstream.ErrorCode = 10176
	codeTooManyBatches   jetstream.ErrorCode = 10210
	codeStoreFailed      jetstream.ErrorCode = 10077
	codeStreamIsNotThere jetstream.ErrorCode = 10059
)

var errNoStream = errors.New("no such stream")

// stream is what the options say about the stream.
type stream struct {
	name     string
	subjects string // that a new one listens to
	create   bool
	given    map[string]bool // options that the user gave

	replicas              int
	storage, discard      string
	maxAge                time.Duration
	maxBytes, maxMessages int64 // -1: no limit
}

func (s *stream) config() jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: s.name, Description: "logs, written by logplug", Subjects: []string{s.subjects},
		Retention: jetstream.LimitsPolicy, Replicas: s.replicas,
		MaxBytes: s.maxBytes, MaxMsgs: s.maxMessages, MaxAge: s.maxAge,
		AllowDirect: true, AllowAtomicPublish: true,
	}
	if s.storage == "memory" {
		c.Storage = jetstream.MemoryStorage
	}
	if s.discard == "new" {
		c.Discard = jetstream.DiscardNew
	}
	return c
}

// find returns the stream as it is, after creating it if there is none and that
// was asked for. Where the stream is not what the options say, the error is a
// *logdriver.OptionError.
func (s *stream) find(ctx context.Context, js jetstream.JetStream, subject string) (*jetstream.StreamInfo, error) {
	found, err := js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if !s.create {
			return nil, &logdriver.OptionError{Option: "nats-stream", Reason: fmt.Sprintf(
				"there is no stream %q: create it (nats stream add %s --subjects %q --allow-batch), or give nats-create=true", s.name, s.name, s.subjects)}
		}
		found, err = js.CreateStream(ctx, s.config())
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else was faster
			found, err = js.Stream(ctx, s.name)
		}
	}
	if err != nil {
		return nil, s.trouble(err)
	}
	info := found.CachedInfo()
	return info, s.check(&info.Config, subject)
}

// trouble explains an error of finding or creating the stream.
func (s *stream) trouble(err error) error {
	var answer *jetstream.APIError
	if errors.As(err, &answer) && answer.ErrorCode == codeSubjectsOverlap {
		return &logdriver.OptionError{Option: "nats-stream", Reason: fmt.Sprintf(
			"a stream %q cannot be created: another stream already has subjects of %q; name that one, or give another nats-subject-prefix", s.name, s.subjects)}
	}
	return fmt.Errorf("find the stream %q: %w", s.name, err)
}

// check compares an existing stream with what the driver needs and with the
// options that were given.
func (s *stream) check(c *jetstream.StreamConfig, subject string) error {
	var errs []error
	refuse := func(option, format string, args ...any) {
		errs = append(errs, &logdriver.OptionError{
			Option: option, Reason: fmt.Sprintf("the stream %q ", s.name) + fmt.Sprintf(format, args...),
		})
	}
	if !slices.ContainsFunc(c.Subjects, func(p string) bool { return covers(p, subject) }) {
		refuse("nats-subject-prefix", "has the subjects %q, which do not cover %q: add %q to them, or give a prefix that they cover", c.Subjects, subject, s.subjects)
	}
	if c.Retention != jetstream.LimitsPolicy || c.Sealed || c.NoAck || c.Mirror != nil || c.SubjectTransform != nil {
		refuse("nats-stream", "cannot hold logs: it must have the retention policy limits, acknowledge messages, and be neither sealed, a mirror, nor one that changes subjects; name another stream")
	}
	differs := func(option, have, want, flag string) {
		if s.given[option] && have != want {
			refuse(option, "has %s here, not %s: change it (nats stream edit %s %s), or leave the option out to take it as it is", have, want, s.name, flag)
		}
	}
	want := s.config()
	differs("nats-replicas", fmt.Sprint(c.Replicas), fmt.Sprint(want.Replicas), fmt.Sprintf("--replicas %d", want.Replicas))
	differs("nats-storage", c.Storage.String(), want.Storage.String(), "cannot do that: make another one")
	differs("nats-discard", c.Discard.String(), want.Discard.String(), "--discard "+s.discard)
	differs("nats-max-bytes", fmt.Sprint(c.MaxBytes), fmt.Sprint(want.MaxBytes), fmt.Sprintf("--max-bytes %d", want.MaxBytes))
	differs("nats-max-messages", fmt.Sprint(c.MaxMsgs), fmt.Sprint(want.MaxMsgs), fmt.Sprintf("--max-msgs %d", want.MaxMsgs))
	differs("nats-max-age", c.MaxAge.String(), want.MaxAge.String(), fmt.Sprintf("--max-age %s", want.MaxAge))
	return errors.Join(errs...)
}
