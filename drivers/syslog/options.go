package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logplug/logplug/drivers/syslog/internal/frame"
	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/remote"
	"github.com/logplug/logplug/shared/logdriver"
)

// options are those of Docker's syslog driver, and syslog-framing,
// syslog-max-size, syslog-resend, syslog-sd-id and syslog-tls-server-name.
type options struct {
	Address  string            `logplug:"syslog-address" help:"Where to send to: tcp://HOST:PORT, tcp+tls://HOST:PORT, udp://HOST:PORT, unix://PATH, unixgram://PATH, or local; the port is 514 if it is left out"`
	Facility string            `logplug:"syslog-facility" default:"daemon" help:"Facility of the messages: a name, such as local0, or a number from 0 to 23"`
	Format   string            `logplug:"syslog-format" help:"Format of the messages: rfc3164, rfc5424, rfc5424micro; not given: that of local syslog daemons"`
	Framing  string            `logplug:"syslog-framing" enum:"auto,octet-counting,newline" default:"auto" help:"How messages are separated on a stream; auto: by octet-counting with the formats of RFC 5424 on tcp and tcp+tls, else by newline"`
	MaxSize  sdk.Size          `logplug:"syslog-max-size" default:"8096" help:"Size above which a message is split into several, since receivers cut longer ones off"`
	Resend   sdk.Size          `logplug:"syslog-resend" default:"256k" help:"How much of what was acknowledged in the 10 s before a connection ended is sent again; 0: nothing"`
	SDID     string            `logplug:"syslog-sd-id" default:"logplug@32473" help:"Name of the structured data element that carries attributes"`
	TLS      remote.TLSOptions `logplug:"syslog-,prefix"`

	sdk.Attributes
	sdk.Tag

	addresses []remote.Address // to be tried in turn; set by Validate, as is what follows
	facility  int
	probation time.Duration // remote.Config.Probation, for tests
}

// tlsPrefix is what the names of TLS's options begin with.
const tlsPrefix = "syslog-"

const (
	// defaultPort is Docker's for all transports, though RFC 5425 has 6514.
	defaultPort = 514
	// maxDatagram is what UDP over IPv4 can carry, and a unix socket takes.
	maxDatagram = 65507
	maxResend   = 64 << 20
)

var schemes = []remote.Scheme{
	{Name: "tcp", Network: "tcp", Port: defaultPort},
	{Name: "tcp+tls", Network: "tcp", Port: defaultPort, TLS: true},
	{Name: "udp", Network: "udp", Port: defaultPort},
	{Name: "unix", Network: "unix"},
	{Name: "unixgram", Network: "unixgram"},
}

// localPaths are where the C library and others look for the system's daemon.
var localPaths = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

// socketsAt returns the addresses of a daemon that has one of the paths, with a socket
// of either kind.
func socketsAt(paths ...string) (addresses []remote.Address) {
	for _, path := range paths {
		addresses = append(addresses,
			remote.Address{Scheme: remote.Scheme{Name: "unixgram", Network: "unixgram"}, Path: path},
			remote.Address{Scheme: remote.Scheme{Name: "unix", Network: "unix"}, Path: path})
	}
	return addresses
}

// facilities are the names of RFC 5424, table 1, that C libraries know, by number.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"", "", "", "",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

var styles = map[string]frame.Style{
	"": frame.Unix, "rfc3164": frame.RFC3164, "rfc5424": frame.RFC5424, "rfc5424micro": frame.RFC5424Micro,
}

// Validate reports what is wrong with the options.
func (o *options) Validate() error {
	var errs []error
	refuse := func(option, reason string) {
		errs = append(errs, &logdriver.OptionError{Option: option, Reason: reason})
	}
	if err := o.parseAddress(); err != nil {
		errs = append(errs, err)
	} else if o.TLS.Given() && !o.addresses[0].TLS {
		refuse("syslog-address", "must begin with tcp+tls:// where options about TLS are given: nothing would be encrypted")
	} else if o.Framing != "auto" && o.datagrams() {
		refuse("syslog-framing", "is for tcp, tcp+tls and unix: a datagram is a message")
	} else if o.MaxSize > maxDatagram && o.datagrams() {
		refuse("syslog-max-size", fmt.Sprintf("must be at most %d for udp, unixgram and local", maxDatagram))
	}
	if reason := o.parseFacility(); reason != "" {
		refuse("syslog-facility", reason)
	}
	if _, known := styles[o.Format]; !known {
		refuse("syslog-format", strconv.Quote(o.Format)+" is not one of rfc3164, rfc5424, rfc5424micro")
	}
	if o.MaxSize < frame.MinBytes || o.MaxSize > frame.MaxBytes {
		refuse("syslog-max-size", fmt.Sprintf("must be from %d bytes to %s", frame.MinBytes, sdk.Size(frame.MaxBytes)))
	}
	if o.Resend > maxResend {
		refuse("syslog-resend", "must be at most "+sdk.Size(maxResend).String())
	}
	if !frame.ValidSDID(o.SDID) {
		refuse("syslog-sd-id", `must be a name, "@" and a number, of at most 32 printable ASCII characters without = ] " and blanks`)
	}
	return errors.Join(errs...)
}

func (o *options) parseAddress() error {
	if o.local() {
		o.addresses = socketsAt(localPaths...)
		return nil
	}
	a, err := remote.ParseAddress("syslog-address", o.Address, schemes...)
	o.addresses = []remote.Address{a}
	return err
}

// local tells that the address is that of the system's daemon.
func (o *options) local() bool { return o.Address == "" || o.Address == "local" }

// parseFacility returns what is wrong with the facility.
func (o *options) parseFacility() string {
	if i := slices.Index(facilities, o.Facility); i >= 0 && o.Facility != "" {
		o.facility = i
		return ""
	}
	n, err := strconv.Atoi(o.Facility)
	if err != nil || n < 0 || n >= len(facilities) {
		names := slices.DeleteFunc(slices.Clone(facilities), func(s string) bool { return s == "" })
		return fmt.Sprintf("%q is neither a number from 0 to %d nor one of %s", o.Facility, len(facilities)-1, strings.Join(names, ", "))
	}
	o.facility = n
	return ""
}

// datagrams tells that each message is sent as a datagram, or may be.
func (o *options) datagrams() bool {
	network := o.addresses[0].Network
	return network == "udp" || network == "unixgram"
}

func (o *options) style() frame.Style { return styles[o.Format] }

func (o *options) framing() frame.Framing {
	switch {
	case o.local():
		// A stream may answer; at the end of a datagram daemons ignore the newline, which
		// Docker's driver has there too.
		return frame.Newline
	case o.datagrams():
		return frame.Datagram
	case o.Framing == "octet-counting", o.Framing == "auto" && o.style().Structured() && o.addresses[0].Network == "tcp":
		return frame.OctetCounting
	}
	return frame.Newline
}
