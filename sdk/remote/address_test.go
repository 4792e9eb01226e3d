package remote

import (
	"errors"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

var testSchemes = []Scheme{
	{Name: "tcp", Network: "tcp", Port: 514},
	{Name: "tcp+tls", Network: "tcp", TLS: true},
	{Name: "unix", Network: "unix"},
}

func TestParseAddress(t *testing.T) {
	for _, tc := range []struct{ text, target, reason string }{
		{"tcp://example.com", "example.com:514", ""},
		{"tcp://example.com:99", "example.com:99", ""},
		{"tcp://example.com:99/", "example.com:99", ""},
		{"tcp://192.0.2.1", "192.0.2.1:514", ""},
		{"tcp://[2001:db8::1]", "[2001:db8::1]:514", ""},
		{"tcp://[fe80::1%eth0]:99", "[fe80::1%eth0]:99", ""},
		{"tcp+tls://example.com:1", "example.com:1", ""},
		{"unix:///dev/log", "/dev/log", ""},
		{"unix://@abstract", "@abstract", ""},

		{"", "", "is not an address"},
		{"example.com:514", "", "is not an address such as tcp://logs.example.com:514"},
		{"ftp://example.com", "", "begins with none of tcp://, tcp+tls://, unix://"},
		{"tcp://", "", "names no host"},
		{"tcp://:514", "", "names no host"},
		{"tcp://example.com:", "example.com:514", ""},
		{"tcp://example.com:0", "", "port"},
		{"tcp://example.com:65536", "", "port"},
		{"tcp://example.com:http", "", "port"},
		{"tcp+tls://example.com", "", "has no port"},
		{"tcp://2001:db8::1", "", "without brackets"},
		{"tcp://[example.com]", "", "not an IP address"},
		{"tcp://[::1]514", "", "other than a port"},
		{"tcp://user:hidden@example.com", "", "more than a host and a port"},
		{"tcp://example.com/path", "", "more than a host and a port"},
		{"unix://", "", "has no path"},
		{"unix://relative", "", "not absolute"},
		{"unix:///" + strings.Repeat("x", 200), "", "at most 107"},
	} {
		a, err := ParseAddress("where", tc.text, testSchemes...)
		var opt *logdriver.OptionError
		switch {
		case tc.reason == "" && (err != nil || a.Target() != tc.target):
			t.Errorf("%s: %q, %v", tc.text, a.Target(), err)
		case tc.reason != "" && (!errors.As(err, &opt) || opt.Option != "where" || !strings.Contains(opt.Reason, tc.reason)):
			t.Errorf("%s: %v", tc.text, err)
		case err != nil && strings.Contains(err.Error(), "hidden"):
			t.Errorf("%s: a password is shown: %v", tc.text, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("tcp://[fe80::1%eth0]:99")
	f.Add("unix://@x")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress("where", text, testSchemes...)
		if err != nil {
			return
		}
		again, err := ParseAddress("where", a.String(), testSchemes...)
		if err != nil || again != a {
			t.Errorf("%q is %q, which is %q: %v", text, a, again, err)
		}
	})
}
