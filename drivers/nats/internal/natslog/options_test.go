package natslog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		config map[string]string
		option string // that is refused; empty if none is
	}{
		{map[string]string{}, ""},
		{map[string]string{"nats-url": "a:1,tls://b:2,nats://[::1]"}, ""},
		{map[string]string{"nats-url": ""}, "nats-url"},
		{map[string]string{"nats-url": "http://a"}, "nats-url"},
		{map[string]string{"nats-url": "nats://user:s3cret@a"}, "nats-url"},
		{map[string]string{"nats-url": "nats://s3cret@a"}, "nats-url"},
		{map[string]string{"nats-url": "nats://a:b:s3cret"}, "nats-url"},
		{map[string]string{"nats-stream": "a.b"}, "nats-stream"},
		{map[string]string{"nats-stream": ""}, "nats-stream"},
		{map[string]string{"nats-subject-prefix": "a.b.c"}, ""},
		{map[string]string{"nats-subject-prefix": "a.*"}, "nats-subject-prefix"},
		{map[string]string{"nats-subject-prefix": "a."}, "nats-subject-prefix"},
		{map[string]string{"nats-subject-prefix": "$JS.a"}, "nats-subject-prefix"},
		{map[string]string{"nats-replicas": "3", "nats-storage": "memory", "nats-discard": "new"}, ""},
		{map[string]string{"nats-replicas": "0"}, "nats-replicas"},
		{map[string]string{"nats-replicas": "6"}, "nats-replicas"},
		{map[string]string{"nats-storage": "tape"}, "nats-storage"},
		{map[string]string{"nats-max-bytes": "1g", "nats-max-age": "24h", "nats-max-messages": "10"}, ""},
		{map[string]string{"nats-max-age": "1ms"}, "nats-max-age"},
		{map[string]string{"nats-max-messages": "-1"}, "nats-max-messages"},
		{map[string]string{"nats-timeout": "0s"}, "nats-timeout"},
		{map[string]string{"nats-user": "u", "nats-password": "s3cret"}, ""},
		{map[string]string{"nats-password": "s3cret"}, "nats-password"},
		{map[string]string{"nats-user": "u", "nats-token": "s3cret"}, "nats-token"},
		{map[string]string{"nats-tokken": "s3cret"}, "nats-tokken"},
	} {
		_, err := Driver().Options(tc.config)
		var opt *logdriver.OptionError
		switch {
		case tc.option == "" && err != nil, tc.option != "" && (!errors.As(err, &opt) || opt.Option != tc.option):
			t.Errorf("%v: %v", tc.config, err)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%v: %v", tc.config, err)
		}
	}
}

// Files that do not hold what they should are told before anything connects.
func TestFiles(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for option, value := range map[string]string{
		"nats-credentials": junk + "x", "nats-nkey": junk, "nats-tls-ca-cert": junk, "nats-tls-cert": junk,
	} {
		opts, err := Driver().Options(map[string]string{option: value})
		if err != nil {
			t.Fatal(err)
		}
		_, err = opts.link()
		var opt *logdriver.OptionError
		if !errors.As(err, &opt) || !strings.HasPrefix(opt.Option, "nats-") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", option, err)
		}
	}
}

func TestNoID(t *testing.T) {
	opts, err := Driver().Options(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opts.subject(&logdriver.Info{}); err == nil {
		t.Error("a log without ID and name has a subject")
	}
	if s, err := opts.subject(&logdriver.Info{ContainerName: "/a.b"}); err != nil || s != "logs.a%2Eb" {
		t.Errorf("%q, %v", s, err)
	}
}

func TestToken(t *testing.T) {
	long := strings.Repeat("x", 300)
	seen := map[string]string{}
	for _, id := range []string{"a", "A", "a.b", "a b", "a*", "a>", "a%2Eb", "\xff", "\u00e9", long, long + "y", long[:200], "a\r\nPUB x 0\r\n"} {
		got := token(id)
		if strings.ContainsAny(got, ". *>\t\r\n") || len(got) > maxTokenBytes || got == "" {
			t.Errorf("%q: %q", id, got)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%q and %q have the same token", id, other)
		}
		seen[got] = id
	}
}

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.*", "a.b", true}, {"a.>", "a.b", true}, {"a.>", "a.b.c", true}, {">", "a.b", true}, {"a.b", "a.b", true},
		{"*.b", "a.b", true}, {"a.*", "a.b.c", false}, {"a.>", "a", false}, {"a", "a.b", false}, {"a.*", "b.b", false},
	} {
		if covers(tc.pattern, tc.subject) != tc.want {
			t.Errorf("%s, %s", tc.pattern, tc.subject)
		}
	}
}
