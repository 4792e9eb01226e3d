package dockertest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/daemon/logger"
	"github.com/docker/docker/daemon/logger/jsonfilelog"
	"github.com/docker/docker/daemon/logger/local"

	"github.com/logplug/logplug/host/cmd/logplug/internal/importer"
	"github.com/logplug/logplug/shared/logdriver"
)

const records = 3000

// message returns the i-th message, of which some are parts of longer lines.
func message(i int) (line, source string, at time.Time, partial *backend.PartialLogMetaData) {
	line, source = fmt.Sprintf("line %d %s", i, strings.Repeat("ü", i%200)), "stdout"
	if i%3 == 0 {
		source = "stderr"
	}
	if i%50 < 3 { // three parts of one stream
		source = "stdout"
		partial = &backend.PartialLogMetaData{ID: fmt.Sprint(i / 50), Ordinal: i%50 + 1, Last: i%50 == 2}
	}
	return line, source, time.Date(2026, 1, 2, 3, 4, 5, i*1000, time.UTC), partial
}

func log(t *testing.T, l logger.Logger) {
	t.Helper()
	for i := range records {
		line, source, at, partial := message(i)
		m := logger.NewMessage()
		m.Line, m.Source, m.Timestamp, m.PLogMetaData = append(m.Line, line...), source, at, partial
		if err := l.Log(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// check reads everything back, and compares it with what was logged.
func check(t *testing.T, path string, want importer.Format, atLeast int) {
	t.Helper()
	files, err := importer.Find([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	defer importer.Close(files)
	if len(files) < atLeast {
		t.Errorf("only %d files", len(files))
	}
	format, err := importer.Detect(files)
	if err != nil || format != want {
		t.Fatalf("%q, %v", format, err)
	}
	i := 0
	damage, err := importer.Scan(files, format, logdriver.DefaultBufSize, func(m *logdriver.Message) error {
		line, source, at, partial := message(i)
		more := partial != nil && !partial.Last
		if string(m.Line) != line || m.Source != source || !m.Timestamp.Equal(at) || m.Partial.More() != more ||
			m.Partial.IsPartial() != (partial != nil) {
			t.Fatalf("message %d: %.40q %s %v %+v", i, m.Line, m.Source, m.Timestamp, m.Partial)
		}
		i++
		logdriver.PutMessage(m)
		return nil
	})
	if err != nil || damage.Places != 0 || i != records {
		t.Errorf("%d messages, damage %v, %v", i, damage, err)
	}
}

func TestJSONFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c-json.log")
	l, err := jsonfilelog.New(logger.Info{LogPath: path, Config: map[string]string{"max-size": "100k", "max-file": "20", "compress": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	log(t, l)
	check(t, path, importer.DockerJSON, 5)
}

func TestLocal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "container.log")
	l, err := local.New(logger.Info{LogPath: path, Config: map[string]string{"max-size": "100k", "max-file": "20"}})
	if err != nil {
		t.Fatal(err)
	}
	log(t, l)
	check(t, filepath.Join(filepath.Dir(path), "container.log"), importer.DockerLocal, 5)
}
