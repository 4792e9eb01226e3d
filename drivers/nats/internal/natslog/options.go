package natslog

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/remote"
	"github.com/logplug/logplug/shared/logdriver"
)

// optionPrefix begins the names of all options that are not those of every driver.
const optionPrefix = "nats-"

// Options are the driver's options.
type Options struct {
	URL         []string      `logplug:"nats-url" default:"nats://127.0.0.1:4222" help:"Addresses of servers of the cluster, separated by commas: nats://, tls://, ws:// or wss://"`
	Stream      string        `logplug:"nats-stream" default:"LOGPLUG" help:"Name of the stream"`
	Prefix      string        `logplug:"nats-subject-prefix" default:"logs" help:"What the subject of each log begins with; a dot and the log's ID follow"`
	Create      bool          `logplug:"nats-create" default:"true" help:"Create the stream if there is none"`
	Replicas    int           `logplug:"nats-replicas" default:"1" help:"Number of servers that keep the stream, 1 to 5"`
	Storage     string        `logplug:"nats-storage" enum:"file,memory" default:"file" help:"Where the servers keep the stream"`
	Discard     string        `logplug:"nats-discard" enum:"old,new" default:"old" help:"What gives way when the stream is full: its oldest messages, or new ones, which then wait"`
	MaxBytes    sdk.Size      `logplug:"nats-max-bytes" help:"Size of the stream, all logs together; not given: no limit"`
	MaxAge      time.Duration `logplug:"nats-max-age" help:"Age at which messages are removed; not given: never"`
	MaxMessages int64         `logplug:"nats-max-messages" help:"Number of messages in the stream, all logs together; not given: no limit"`
	Credentials string        `logplug:"nats-credentials" help:"File with a user's JWT and seed"`
	NKey        string        `logplug:"nats-nkey" help:"File with a user's NKey seed"`
	User        string        `logplug:"nats-user" help:"Name of the user"`
	Password    string        `logplug:"nats-password,secret" help:"Password of the user"`
	Token       string        `logplug:"nats-token,secret" help:"Token to authenticate with"`
	Timeout     time.Duration `logplug:"nats-timeout" default:"5s" help:"How long an answer of the server may take"`

	TLS remote.TLSOptions `logplug:"nats-,prefix"`
	sdk.Attributes
	sdk.Tag
}

var (
	streamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	// A prefix is a literal subject: tokens without wildcards, and not one of the
	// server's own.
	subjectPrefix = regexp.MustCompile(`^[A-Za-z0-9_=+:%/-]+(\.[A-Za-z0-9_=+:%/-]+)*$`)
)

// Validate reports what is wrong with the options.
func (o *Options) Validate() error {
	var errs []error
	refuse := func(option, reason string) {
		errs = append(errs, &logdriver.OptionError{Option: optionPrefix + option, Reason: reason})
	}
	if reason := checkURLs(o.URL); reason != "" {
		refuse("url", reason)
	}
	if !streamName.MatchString(o.Stream) {
		refuse("stream", "must consist of letters, digits, - and _, 255 at most")
	}
	if len(o.Prefix) > 200 || !subjectPrefix.MatchString(o.Prefix) {
		refuse("subject-prefix", "must be words separated by dots, such as logs.eu, of letters, digits and any of _ = + : % / -, 200 bytes at most")
	}
	if o.Replicas < 1 || o.Replicas > 5 {
		refuse("replicas", "must be 1 to 5")
	}
	if o.MaxAge < 0 || (o.MaxAge > 0 && o.MaxAge < 100*time.Millisecond) {
		refuse("max-age", "must be 100ms or more; leave it out to keep messages for ever")
	}
	if o.MaxMessages < 0 {
		refuse("max-messages", "must be greater than 0; leave it out for no limit")
	}
	if o.Timeout < 10*time.Millisecond {
		refuse("timeout", "must be 10ms or more, such as 5s")
	}
	errs = append(errs, o.checkAuthentication())
	return errors.Join(errs...)
}

func checkURLs(urls []string) string {
	if len(urls) == 0 {
		return "must name at least one server, such as nats://127.0.0.1:4222"
	}
	for i, text := range urls {
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		// The text is not shown: it may hold a password, in any wrong place.
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Hostname() == "":
			return fmt.Sprintf("address %d is none: give the likes of nats://host:4222", i+1)
		case u.User != nil:
			return fmt.Sprintf("address %d holds a user, which everybody can see: give nats-user and nats-password, or nats-token", i+1)
		case u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss":
			return fmt.Sprintf("address %d must begin with nats://, tls://, ws:// or wss://", i+1)
		}
	}
	return ""
}

// checkAuthentication refuses more than one way.
func (o *Options) checkAuthentication() error {
	var given []string
	for _, way := range []struct{ option, value string }{
		{"nats-credentials", o.Credentials}, {"nats-nkey", o.NKey}, {"nats-user", o.User}, {"nats-token", o.Token},
	} {
		if way.value != "" {
			given = append(given, way.option)
		}
	}
	if len(given) > 1 {
		return &logdriver.OptionError{Option: given[1], Reason: "is one way to authenticate too many beside " + given[0]}
	}
	if o.Password != "" && o.User == "" {
		return &logdriver.OptionError{Option: "nats-password", Reason: "needs nats-user"}
	}
	return nil
}

// subject returns the subject of a log.
func (o *Options) subject(info *logdriver.Info) (string, error) {
	id := info.ContainerID
	if id == "" {
		id = info.Name()
	}
	if id == "" {
		return "", errors.New("the log has neither an ID nor a name to make a subject of: give it one")
	}
	return o.Prefix + "." + token(id), nil
}

// stream returns what the stream must be like; given holds the options by name.
func (o *Options) stream(given map[string]string) stream {
	unlimited := func(n int64) int64 {
		if n == 0 {
			return -1
		}
		return n
	}
	s := stream{
		name: o.Stream, subjects: o.Prefix + ".*", create: o.Create, given: map[string]bool{},
		replicas: o.Replicas, storage: o.Storage, discard: o.Discard, maxAge: o.MaxAge,
		maxBytes: unlimited(int64(o.MaxBytes)), maxMessages: unlimited(o.MaxMessages),
	}
	for option := range given {
		s.given[option] = true
	}
	return s
}
