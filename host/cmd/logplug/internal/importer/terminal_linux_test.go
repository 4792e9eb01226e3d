package importer_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/host/internal/terminaltest"
)

// readTerminal returns what is shown until all programs have closed the terminal.
func readTerminal(t *testing.T, user io.Reader) []byte {
	t.Helper()
	all := make(chan []byte, 1)
	go func() {
		shown, _ := io.ReadAll(user) // a terminal that nobody writes to any more ends with an error
		all <- shown
	}()
	select { // reading a terminal heeds no deadline
	case shown := <-all:
		return shown
	case <-time.After(waitLimit + outputLimit):
		t.Fatal("a program holds the terminal open")
		return nil
	}
}

// TestProgress imports on a terminal, which shows how far it is, and elsewhere, which
// does not.
func TestProgress(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	log, hang, sink := filepath.Join(dir, "0.log"), filepath.Join(dir, "hang"), filepath.Join(dir, "out")
	const records = 200_000 // more than the spool takes
	_, file := text(0, records)
	writeFile(t, log, file, false)
	writeFile(t, hang, "", false)
	user, program := terminaltest.Open(t)
	cmd := logplug(t, state, "import", "-d", "sink", "--opt", "file="+sink, "--opt", "hang-file="+hang, "--opt", "cache-disabled=true", log)
	cmd.Stderr = program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	// It is shown from time to time: the import must not be over before.
	time.AfterFunc(2*time.Second, func() { _ = os.Remove(hang) })
	shown := readTerminal(t, user)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %q", err, shown)
	}
	updates := strings.Split(string(shown), "\r\x1b[K")
	if updates[0] != "" || len(updates) < 3 {
		t.Fatalf("it shows %q", shown)
	}
	size := units.HumanSize(float64(len(file)))
	// The records of some lines are two.
	messages := records + records/10
	line := regexp.MustCompile(`^[0-9.]+[kM]?B of ` + regexp.QuoteMeta(size) + `, \d+ messages, [0-9.]+[kM]?B/s$`)
	last := len(updates) - 1
	whole, ended := strings.CutSuffix(updates[last], "\r\n")
	if want := fmt.Sprintf("%s of %s, %d messages, ", size, size, messages); !ended || !strings.HasPrefix(whole, want) {
		t.Errorf("at the end it shows %q, want %q", updates[last], want)
	}
	for _, u := range append(updates[1:last:last], whole) {
		if !line.MatchString(u) {
			t.Errorf("it shows %q", u)
		}
	}
	again := logplug(t, state, "import", "--id", "again", log)
	var stderr bytes.Buffer
	again.Stderr = &stderr
	if err := again.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("where there is no terminal it prints %q, %v", stderr.String(), err)
	}
}
