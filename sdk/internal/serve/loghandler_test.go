package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/logplug/logplug/sdk/internal/redact"
)

// undot undoes the dots, as far as slogtest looks at groups.
func undot(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		switch k {
		case "@level":
			k = slog.LevelKey
		case "@message":
			k = slog.MessageKey
		case "@timestamp":
			k = slog.TimeKey
		}
		at := out
		parts := strings.Split(k, ".")
		for _, p := range parts[:len(parts)-1] {
			next, _ := at[p].(map[string]any)
			if next == nil {
				next = map[string]any{}
				at[p] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = v
	}
	return out
}

func TestHandlerConforms(t *testing.T) {
	var buf bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		buf.Reset()
		return NewHandler(&buf, LevelTrace, "x", nil)
	}, func(t *testing.T) map[string]any {
		var m map[string]any
		if err := json.Unmarshal(buf.Bytes(), &m); err != nil {
			t.Fatalf("%v: %s", err, buf.Bytes())
		}
		return undot(m)
	})
}

type broken struct{}

func (*broken) Error() string { panic("nil") }

func TestHandlerLine(t *testing.T) {
	var secrets redact.Set
	defer secrets.Add([]string{"hunter2", `"`})()
	var buf bytes.Buffer
	log := slog.New(NewHandler(&buf, slog.LevelDebug, "jsonfile", &secrets)).With("url", "https://x/?t=hunter2")
	log.Debug("token <hunter2>", "n", 1, "f", 1.5, "d", time.Second, "ok", true, "err", errors.New("no hunter2"),
		"any", map[string]string{"t": "hunter2"}, "bad", (*broken)(nil), "chan", make(chan int), "@level", "mine")
	if n := strings.Count(buf.String(), "\n"); n != 1 {
		t.Errorf("%d lines", n)
	}
	if strings.Contains(buf.String(), "hunter2") {
		t.Errorf("secret in %s", buf.String())
	}
	var m map[string]any
	if err := json.Unmarshal(buf.Bytes(), &m); err != nil {
		t.Fatalf("%v: %s", err, buf.Bytes())
	}
	if m["@level"] != "debug" || m["@module"] != "jsonfile" || m["@message"] != "token <[redacted]>" || m["d"] != "1s" {
		t.Errorf("%v", m)
	}
	if _, err := time.Parse(hclogTime, m["@timestamp"].(string)); err != nil {
		t.Error(err)
	}
	buf.Reset()
	log.Log(t.Context(), LevelTrace, "quiet")
	if buf.Len() > 0 {
		t.Error("wrote a line below the level")
	}
}
