package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		config map[string]string
		option string // that is refused; empty if none is
	}{
		{map[string]string{}, ""},
		{map[string]string{"max-size": "10m", "max-file": "3", "compress": "true"}, ""},
		{map[string]string{"max-size": "0"}, "max-size"},
		{map[string]string{"max-size": "-1"}, "max-size"},
		{map[string]string{"max-size": "big"}, "max-size"},
		{map[string]string{"max-file": "0"}, "max-file"},
		{map[string]string{"max-file": "x"}, "max-file"},
		{map[string]string{"compress": "perhaps"}, "compress"},
		{map[string]string{"compress": "true"}, "compress"},
		{map[string]string{"compress": "true", "max-size": "1m"}, "compress"},
		{map[string]string{"compress": "true", "max-file": "2"}, "compress"},
		{map[string]string{"compress": "false", "max-file": "2"}, ""},
		{map[string]string{"sync": "always"}, "sync"},
		{map[string]string{"sync": "interval", "sync-interval": "0s"}, "sync-interval"},
		{map[string]string{"labels-regex": "("}, "labels-regex"},
		{map[string]string{"tag": "{{"}, "tag"},
		{map[string]string{"max-sise": "1"}, "max-sise"},
	} {
		info := logdriver.Info{Config: tc.config, LogPath: filepath.Join(t.TempDir(), "x.log")}
		l, err := openLogger(&info)
		if err == nil {
			l.Close()
		}
		var opt *logdriver.OptionError
		switch {
		case tc.option == "" && err != nil:
			t.Errorf("%v: %v", tc.config, err)
		case tc.option != "" && (!errors.As(err, &opt) || opt.Option != tc.option):
			t.Errorf("%v: %v", tc.config, err)
		}
	}
	info := logdriver.Info{}
	if _, err := openLogger(&info); err == nil || !strings.Contains(err.Error(), `"path"`) {
		t.Errorf("no path: %v", err)
	}
}

func openLogger(info *logdriver.Info) (*logfile.Logger, error) {
	d := driver()
	opts, err := d.Options(info.Config)
	if err != nil {
		return nil, err
	}
	l, err := d.Open(context.Background(), *info, opts)
	if err != nil {
		return nil, err
	}
	return l.(*logfile.Logger), nil
}

func mustOpen(t testing.TB, info *logdriver.Info) *logfile.Logger {
	t.Helper()
	l, err := openLogger(info)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestAttributes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l := mustOpen(t, &logdriver.Info{
		ContainerID:     "0123456789abcdef",
		ContainerLabels: map[string]string{"a": "1", "b": "2", "other": "3"},
		ContainerEnv:    []string{"E=4", "F=5"},
		Config:          map[string]string{"path": path, "labels": "a", "labels-regex": "^b", "env": "E", "tag": "{{.ID}}"},
	})
	err := l.Log(&logdriver.Message{Line: []byte("x"), Source: "stdout", Timestamp: time.Unix(1, 0), Attrs: []logdriver.Attr{{Key: "k", Value: "v"}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	const want = `{"log":"x\n","stream":"stdout","attrs":{"E":"4","a":"1","b":"2","tag":"0123456789ab","k":"v"},"time":"1970-01-01T00:00:01.000000000Z"}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// Any bytes come back as they were.
func TestAnyBytes(t *testing.T) {
	l := mustOpen(t, &logdriver.Info{LogPath: filepath.Join(t.TempDir(), "x.log")})
	var everything []byte
	for i := range 256 {
		everything = append(everything, byte(i))
	}
	sent := []logdriver.Message{
		{Line: everything},
		{Line: bytes.Repeat(everything, logdriver.MaxLineBytes/256)},
		{Line: bytes.Repeat([]byte{0}, logdriver.MaxLineBytes)},
		{Line: []byte("a\r")},
		{Line: nil},
		{Line: []byte("part\n"), Partial: logdriver.Partial{ID: "p", Ordinal: 1}},
		{Line: []byte("\xff"), Partial: logdriver.Partial{ID: "p", Ordinal: 2, Last: true}},
		{Line: []byte("end"), Unterminated: true},
	}
	var batch []*logdriver.Message
	for i := range sent {
		batch = append(batch, &sent[i])
	}
	if err := l.LogBatch(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
	w := l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1})
	i := 0
	for m, err := range w.All() {
		if err != nil {
			t.Fatal(err)
		}
		want := append([]byte(nil), sent[i].Line...)
		if !sent[i].Partial.More() && !sent[i].Unterminated {
			want = append(want, '\n')
		}
		if m.Err != nil || !bytes.Equal(m.Line, want) || m.Partial != sent[i].Partial || m.Unterminated != sent[i].Unterminated {
			t.Errorf("message %d: %d bytes, %v, %v", i, len(m.Line), m.Partial, m.Err)
		}
		i++
	}
	if i != len(sent) {
		t.Errorf("%d messages", i)
	}
}
