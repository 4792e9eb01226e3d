package dockertest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/daemon/logger"
	"github.com/docker/docker/daemon/logger/jsonfilelog"

	"github.com/logplug/logplug/drivers/jsonfile/internal/record"
	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

const patience = 60 * time.Second

func start(i int) time.Time { return time.Date(2024, 5, 6, 7, 8, i, 90, time.UTC) }

func openOurs(t *testing.T, cfg logfile.Config, attrs ...logdriver.Attr) *logfile.Log {
	t.Helper()
	cfg.Format = record.New(attrs)
	cfg.OnError = func(err error) { t.Error(err) }
	l, err := logfile.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func openDockers(t *testing.T, path string, config map[string]string) logger.Logger {
	t.Helper()
	l, err := jsonfilelog.New(logger.Info{LogPath: path, Config: config, ContainerLabels: map[string]string{"job": "build"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dockerReads returns what Docker's reader makes of the log, one
// "time source line attrs" a message.
func dockerReads(t *testing.T, path string, config map[string]string, rc logger.ReadConfig) []string {
	t.Helper()
	w := openDockers(t, path, config).(logger.LogReader).ReadLogs(context.Background(), rc)
	defer w.ConsumerGone()
	var got []string
	for {
		select {
		case m, ok := <-w.Msg:
			if !ok {
				select {
				case err := <-w.Err:
					t.Error(err)
				default:
				}
				return got
			}
			attrs := ""
			for _, a := range m.Attrs {
				attrs += " " + a.Key + "=" + a.Value
			}
			got = append(got, fmt.Sprintf("%s %s %q%s", m.Timestamp.UTC().Format(time.RFC3339Nano), m.Source, m.Line, attrs))
		case err := <-w.Err:
			t.Fatal(err)
		case <-time.After(patience):
			t.Fatal("nothing arrives from Docker's reader")
		}
	}
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestDockerReadsOurs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l := openOurs(t, logfile.Config{Path: path}, logdriver.Attr{Key: "job", Value: "build"})
	msgs := []*logdriver.Message{
		{Line: []byte("plain"), Source: "stdout", Timestamp: start(1)},
		{Line: []byte("a\xff\x00b<é>"), Source: "stderr", Timestamp: start(2)},
		{Line: []byte("one "), Source: "stdout", Timestamp: start(3), Partial: logdriver.Partial{ID: "i", Ordinal: 1}},
		{Line: []byte("two"), Source: "stdout", Timestamp: start(3), Partial: logdriver.Partial{ID: "i", Ordinal: 2, Last: true}},
		{Line: []byte("end"), Source: "stdout", Timestamp: start(4), Unterminated: true},
		{Line: bytes.Repeat([]byte("x"), 20000), Source: "stdout", Timestamp: start(5)},
	}
	if err := l.Append(msgs); err != nil {
		t.Fatal(err)
	}
	l.Close()
	at := func(i int) string { return start(i).Format(time.RFC3339Nano) }
	equal(t, dockerReads(t, path, nil, logger.ReadConfig{Tail: -1}), []string{
		at(1) + ` stdout "plain\n" job=build`,
		at(2) + ` stderr "a` + "\uFFFD" + `\x00b<é>\n" job=build`,
		at(3) + ` stdout "one " job=build`,
		at(3) + ` stdout "two\n" job=build`,
		at(4) + ` stdout "end" job=build`,
		at(5) + ` stdout "` + strings.Repeat("x", 20000) + `\n" job=build`,
	})
}

func TestDockerReadsOurRotatedFiles(t *testing.T) {
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("compress=%v", compress), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.log")
			l := openOurs(t, logfile.Config{Path: path, MaxSize: 200, MaxFiles: 10, Compress: compress})
			var want []string
			for i := range 20 {
				m := &logdriver.Message{Line: fmt.Appendf(nil, "message %d", i), Source: "stdout", Timestamp: start(i)}
				if err := l.Append([]*logdriver.Message{m}); err != nil {
					t.Fatal(err)
				}
				want = append(want, fmt.Sprintf("%s stdout %q", start(i).Format(time.RFC3339Nano), fmt.Sprintf("message %d\n", i)))
			}
			if compress {
				await(t, func() bool { n, _ := filepath.Glob(path + ".*.gz"); return len(n) >= 5 })
			}
			l.Close()
			config := map[string]string{"max-size": "200", "max-file": "10", "compress": fmt.Sprint(compress)}
			equal(t, dockerReads(t, path, config, logger.ReadConfig{Tail: -1}), want)
			equal(t, dockerReads(t, path, config, logger.ReadConfig{Tail: 7}), want[13:])
			equal(t, dockerReads(t, path, config, logger.ReadConfig{Tail: -1, Since: start(5)}), want[5:])
		})
	}
}

func await(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not happen")
		}
	}
}

func TestWeReadDockers(t *testing.T) {
	for name, config := range map[string]map[string]string{
		"plain":      {"labels": "job"},
		"rotated":    {"labels": "job", "max-size": "300", "max-file": "20"},
		"compressed": {"labels": "job", "max-size": "300", "max-file": "20", "compress": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.log")
			d := openDockers(t, path, config)
			var want []string
			for i := range 20 {
				m := logger.NewMessage()
				m.Line = fmt.Appendf(m.Line, "message <%d> é\x01", i)
				m.Source, m.Timestamp = "stdout", start(i)
				text, part := fmt.Sprintf("message <%d> é\x01\n", i), logdriver.Partial{}
				if i%5 > 2 { // the last two of five are one line
					part = logdriver.Partial{ID: fmt.Sprintf("line-%d", i/5+1), Ordinal: i%5 - 2, Last: i%5 == 4}
					m.PLogMetaData = &backend.PartialLogMetaData{ID: "x", Ordinal: part.Ordinal, Last: part.Last}
					if !part.Last {
						text = strings.TrimSuffix(text, "\n")
					}
				}
				if err := d.Log(m); err != nil {
					t.Fatal(err)
				}
				want = append(want, fmt.Sprintf("%s stdout %q [{job build}] %v", start(i).Format(time.RFC3339Nano), text, part))
			}
			if name == "compressed" {
				await(t, func() bool { _, err := os.Stat(path + ".2.gz"); return err == nil })
			}
			d.Close()
			r, err := logfile.OpenReader(logfile.Config{Path: path, Format: record.New(nil), MaxFiles: 20})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, weRead(t, r, logdriver.ReadConfig{Tail: -1}), want)
			equal(t, weRead(t, r, logdriver.ReadConfig{Tail: 2, Since: start(2)}), want[18:])
			equal(t, weRead(t, r, logdriver.ReadConfig{Tail: -1, Since: start(10), Until: start(12)}), want[10:13])
			// Going on with a log that Docker began.
			l := openOurs(t, logfile.Config{Path: path, MaxSize: 300, MaxFiles: 20})
			if err := l.Append([]*logdriver.Message{{Line: []byte("ours"), Source: "stdout", Timestamp: start(21)}}); err != nil {
				t.Fatal(err)
			}
			if got := weRead(t, r, logdriver.ReadConfig{Tail: -1}); len(got) != 21 {
				t.Errorf("%q", got)
			}
		})
	}
}

func weRead(t *testing.T, r *logfile.Reader, cfg logdriver.ReadConfig) []string {
	t.Helper()
	var got []string
	for m, err := range r.ReadLogs(context.Background(), cfg).All() {
		if err != nil || m.Err != nil {
			t.Fatal(err, m)
		}
		got = append(got, fmt.Sprintf("%s %s %q %v %v", m.Timestamp.Format(time.RFC3339Nano), m.Source, m.Line, m.Attrs, m.Partial))
	}
	return got
}
