package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

var update = flag.Bool("update", false, "have journald write the journal files that package journal is tested with")

// TestGolden makes the files in internal/journal/testdata.
func TestGolden(t *testing.T) {
	if !*update {
		t.Skip("skipped: it makes files, with -update")
	}
	for name, env := range map[string][]string{"compact": nil, "regular": {"SYSTEMD_JOURNAL_KEYED_HASH=0", "SYSTEMD_JOURNAL_COMPACT=0"}} {
		j := receiver.StartJournald(t, receiver.JournaldConfig{Env: env, Settings: []string{"SystemMaxFileSize=512K", "MaxFileSec=0"}})
		l := mustOpen(t, j, logdriver.Info{ContainerID: "golden", Stream: "s"}, nil)
		mustLog(t, l, numbered(1, 20)...)
		mustLog(t, l, &logdriver.Message{Line: bytes.Repeat([]byte("compressed "), 200), Source: "stdout", Timestamp: time.Now(), Seq: 21})
		mustClose(t, l)
		if err := j.Stop(); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(j.Directory, "*/system.journal"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if err := compressFile(filepath.Join("internal/journal/testdata", name+".journal.gz"), files[0]); err != nil {
			t.Fatal(err)
		}
	}
}

func compressFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if _, err := io.Copy(z, in); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}
