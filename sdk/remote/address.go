package remote

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/logplug/logplug/shared/logdriver"
)

// Scheme is one kind of address that a driver takes.
type Scheme struct {
	// Name is what the address begins with, before "://".
	Name string
	// Network is "tcp", "udp", "unix" or "unixgram", as for net.Dial.
	Network string
	// Port is taken if the address has none; 0 means that it must have one.
	Port int
	// TLS tells that the connection is encrypted.
	TLS bool
}

// Address says where a server is.
type Address struct {
	Scheme
	// Host is a name or an IP address without brackets; empty for unix sockets.
	Host string
	// Path is that of a unix socket; empty for others. An abstract socket has the
	// prefix "@".
	Path string
}

// String returns the address as ParseAddress reads it.
func (a Address) String() string { return a.Name + "://" + a.Target() }

// Target returns what net.Dial takes as the address.
func (a Address) Target() string {
	if a.Path != "" {
		return a.Path
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// maxUnixPath is the longest path of a unix socket that Linux takes.
const maxUnixPath = 107

// ParseAddress reads SCHEME://HOST[:PORT] or, for unix sockets, SCHEME://PATH.
// An IPv6 address stands in brackets. Errors are *logdriver.OptionError about the
// option; they do not repeat text that has an "@", before which there may be a password.
func ParseAddress(option, text string, schemes ...Scheme) (Address, error) {
	fail := func(format string, args ...any) (Address, error) {
		shown := strconv.Quote(text)
		if strings.Contains(text, "@") {
			shown = "the value (not shown)"
		}
		return Address{}, &logdriver.OptionError{Option: option, Reason: shown + " " + fmt.Sprintf(format, args...)}
	}
	name, rest, ok := strings.Cut(text, "://")
	if !ok {
		return fail("is not an address such as %s", example(schemes[0]))
	}
	a := Address{}
	for _, s := range schemes {
		if s.Name == name {
			a.Scheme = s
		}
	}
	switch a.Network {
	case "":
		return fail("begins with none of %s", schemeNames(schemes))
	case "unix", "unixgram":
		if reason := a.setPath(rest); reason != "" {
			return fail("%s", reason)
		}
		return a, nil
	}
	if reason := a.setHost(rest); reason != "" {
		return fail("%s", reason)
	}
	return a, nil
}

// setPath takes the path of a socket, or returns what is wrong with it.
func (a *Address) setPath(path string) string {
	switch {
	case path == "":
		return "has no path: " + example(a.Scheme) + " would be one"
	case path[0] != '@' && !filepath.IsAbs(path):
		return "has a path that is not absolute"
	case len(path) > maxUnixPath:
		return fmt.Sprintf("has a path of %d bytes; a unix socket's has at most %d", len(path), maxUnixPath)
	case strings.ContainsRune(path, 0):
		return "has a path with a NUL"
	}
	a.Path = path
	return ""
}

// setHost takes a host and a port, or returns what is wrong with them.
func (a *Address) setHost(text string) string {
	text = strings.TrimSuffix(text, "/")
	if strings.ContainsAny(text, "/?#@ \t\r\n\x00") {
		return "has more than a host and a port"
	}
	host, port, reason := splitHostPort(text)
	if reason != "" {
		return reason
	}
	if host == "" {
		return "names no host: " + example(a.Scheme) + " would be one"
	}
	a.Host = host
	if port == "" {
		if a.Port == 0 {
			return "has no port"
		}
		return ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "has a port that is not a number from 1 to 65535"
	}
	a.Port = int(n)
	return ""
}

// splitHostPort is net.SplitHostPort for a port that may be left out.
func splitHostPort(text string) (host, port, reason string) {
	if inner, after, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok && text[0] == '[' {
		if net.ParseIP(strings.SplitN(inner, "%", 2)[0]) == nil {
			return "", "", "has something in brackets that is not an IP address"
		}
		if after != "" && after[0] != ':' {
			return "", "", "has something other than a port after the brackets"
		}
		return inner, strings.TrimPrefix(after, ":"), ""
	}
	if strings.Count(text, ":") > 1 || strings.ContainsAny(text, "[]") {
		return "", "", "has an IPv6 address without brackets around it, as in tcp://[::1]:514"
	}
	host, port, _ = strings.Cut(text, ":")
	return host, port, ""
}

func example(s Scheme) string {
	switch {
	case s.Network == "unix" || s.Network == "unixgram":
		return s.Name + ":///run/server.sock"
	case s.Port != 0:
		return fmt.Sprintf("%s://logs.example.com:%d", s.Name, s.Port)
	}
	return s.Name + "://logs.example.com:1234"
}

func schemeNames(schemes []Scheme) string {
	names := make([]string, len(schemes))
	for i, s := range schemes {
		names[i] = s.Name + "://"
	}
	return strings.Join(names, ", ")
}
