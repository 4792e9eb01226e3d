package launch

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/logplug/logplug/shared/wire"
)

// maxNoiseBytes bounds what a program may print before its handshake line.
const maxNoiseBytes = 1 << 20

// maxSocketPath is the longest path of a unix socket that all systems take,
// see unix(7) and unix(4): 104 bytes with the final NUL on BSD, 108 on Linux.
const maxSocketPath = 103

// handshake is what a driver says of itself in its first line:
// CORE|PROTOCOL|NETWORK|ADDRESS|grpc|CERTIFICATE|MULTIPLEX.
type handshake struct {
	protocol int
	network  string
	address  string
	cert     string
}

// looksLikeHandshake tells a handshake line, even a wrong one, from other text.
func looksLikeHandshake(line string) bool {
	core, rest, ok := strings.Cut(line, "|")
	if !ok || strings.Count(rest, "|") < 2 {
		return false
	}
	_, err := strconv.ParseUint(core, 10, 16)
	return err == nil
}

// parseHandshake reads the line. mtls tells that the host asked for TLS.
func parseHandshake(line string, mtls bool) (handshake, error) {
	f := strings.Split(strings.TrimSpace(line), "|")
	if len(f) < 5 {
		return handshake{}, fmt.Errorf("the handshake line has %d fields, needs 5 or more", len(f))
	}
	if f[0] != strconv.Itoa(wire.CoreProtocol) {
		return handshake{}, fmt.Errorf("the handshake line is of version %q, needs %d", f[0], wire.CoreProtocol)
	}
	v, err := strconv.ParseUint(f[1], 10, 31)
	if err != nil {
		return handshake{}, fmt.Errorf("the handshake line has %q in place of a protocol version", f[1])
	}
	if f[4] != "grpc" {
		return handshake{}, fmt.Errorf("it speaks %q, needs grpc", f[4])
	}
	h := handshake{protocol: int(v), network: f[2], address: f[3]}
	if mtls && len(f) > 5 {
		h.cert = strings.TrimSpace(f[5]) // otherwise nobody asked for it, and go-plugin fails on it
	}
	return h, h.check(mtls)
}

func (h handshake) check(mtls bool) error {
	switch {
	case strings.ContainsRune(h.address, 0) || h.address == "":
		return fmt.Errorf("the handshake line has no valid address")
	case mtls && h.cert == "":
		return fmt.Errorf("it offers no certificate, which is needed where sockets have no identity")
	case mtls && !isBase64(h.cert):
		return fmt.Errorf("its certificate is not base64 without padding")
	case mtls && (h.network == "tcp" || h.network == "unix"):
		return nil
	case h.network != "unix":
		return fmt.Errorf("it listens on %q, needs a unix socket in the directory that %s names", h.network, wire.EnvSocketDir)
	case len(h.address) > maxSocketPath:
		return fmt.Errorf("its socket path has %d bytes, the limit is %d", len(h.address), maxSocketPath)
	}
	return nil
}

func isBase64(s string) bool {
	_, err := base64.RawStdEncoding.DecodeString(s)
	return err == nil
}

// line returns the handshake as go-plugin reads it, with nothing in it that was
// not checked.
func (h handshake) line() string {
	return fmt.Sprintf("%d|%d|%s|%s|grpc|%s\n", wire.CoreProtocol, h.protocol, h.network, h.address, h.cert)
}

// handshakeScanner finds the handshake line in a program's stdout. Other lines
// go to noise.
type handshakeScanner struct {
	mtls  bool
	noise *splitter
	// found is called once, with the outcome.
	found func(handshake, error)

	settled bool
	seen    int
	lines   splitter
}

func newHandshakeScanner(mtls bool, noise *splitter, found func(handshake, error)) *handshakeScanner {
	s := &handshakeScanner{mtls: mtls, noise: noise, found: found}
	s.lines.emit = s.line
	return s
}

// Write implements io.Writer. It never fails.
func (s *handshakeScanner) Write(p []byte) (int, error) {
	_, _ = s.lines.Write(p)
	if s.seen += len(p); !s.settled && s.seen > maxNoiseBytes {
		s.settle(handshake{}, fmt.Errorf("it printed more than %d bytes and no handshake line", maxNoiseBytes))
	}
	if s.settled {
		s.seen = 0
	}
	return len(p), nil
}

func (s *handshakeScanner) line(line []byte, cut int) {
	if !s.settled && cut == 0 && looksLikeHandshake(string(line)) {
		s.settle(parseHandshake(string(line), s.mtls))
		return
	}
	s.noise.emit(line, cut)
}

func (s *handshakeScanner) settle(h handshake, err error) {
	s.settled = true
	s.found(h, err)
}

// Close handles a last line that has no terminator. It never fails.
func (s *handshakeScanner) Close() error { return s.lines.Close() }
