package main

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// A reader that never rests sees each entry once, whole, and no damage, while journald
// writes it and changes files.
func TestReadWhileWritten(t *testing.T) {
	for name, settings := range map[string][]string{"one file": nil, "many files": {"SystemMaxFileSize=512K", "SystemMaxFiles=1000"}} {
		t.Run(name, func(t *testing.T) {
			j := receiver.StartJournald(t, receiver.JournaldConfig{Settings: settings})
			const logs, each = 30, 100
			for i := range logs {
				readWhileWritten(t, j, fmt.Sprintf("restless-%d", i), each)
			}
		})
	}
}

func readWhileWritten(t *testing.T, j *receiver.Journald, id string, n int) {
	t.Helper()
	l := mustOpen(t, j, logdriver.Info{ContainerID: id, Stream: "s"}, map[string]string{"confirm": confirmSent})
	defer mustClose(t, l)
	entries, err := l.place.reader(l.place.field, l.place.value)
	if err != nil {
		t.Fatal(err)
	}
	defer entries.Close()
	logged := logBeside(t, l, numbered(1, n)...)
	late := time.Now().Add(patience)
	var msgs []*logdriver.Message
	var dec decoder
	for len(msgs) < n {
		select {
		case err, failed := <-logged:
			if failed {
				t.Fatal(err)
			}
		default:
		}
		if time.Now().After(late) {
			t.Fatalf("%d of %d messages are there", len(msgs), n)
		}
		if err := entries.Refresh(); err != nil {
			t.Fatal(err)
		}
		var e journal.Entry
		for {
			ok, err := next(t.Context(), nil, entries, &e)
			if err != nil {
				t.Fatalf("after %d messages: %v", len(msgs), err)
			}
			if !ok {
				break
			}
			m := dec.message(&e)
			if m.Err != nil {
				t.Fatalf("message %d: %v", len(msgs)+1, m.Err)
			}
			msgs = append(msgs, m)
		}
	}
	if err, failed := <-logged; failed {
		t.Fatal(err)
	}
	wantNumbered(t, msgs, n)
}

// goldenImage returns the content of a golden file.
func goldenImage(t *testing.T) []byte {
	t.Helper()
	z, err := os.Open("internal/journal/testdata/compact.journal.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r, err := gzip.NewReader(z)
	if err != nil {
		t.Fatal(err)
	}
	image, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// halfWritten is the log of a golden file whose last entry is counted, but not
// there until complete is called.
func halfWritten(t *testing.T) (log remoteLog, complete func()) {
	t.Helper()
	image := goldenImage(t)
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "system.journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	write := func(b []byte, off uint64) {
		if _, err := f.WriteAt(b, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	write(image, 0)
	log = remoteLog{place{field: fieldIDFull, value: "golden", parent: dir}}
	last := lastEntry(t, image, log)
	write(make([]byte, 64), last)
	return log, func() { write(image[last:last+64], last) }
}

// lastEntry returns the offset of the log's last entry in the file that image is of.
func lastEntry(t *testing.T, image []byte, log remoteLog) uint64 {
	t.Helper()
	entries, err := log.reader(log.field, log.value)
	if err != nil {
		t.Fatal(err)
	}
	defer entries.Close()
	if err := entries.Refresh(); err != nil {
		t.Fatal(err)
	}
	entries.Tail(1)
	var e journal.Entry
	if ok, err := entries.Next(&e); !ok || err != nil {
		t.Fatal(ok, err)
	}
	// Objects follow each other behind the header: type, size, and in entries
	// the number.
	const headerSize, tailObject, entryType = 88, 136, 3
	u64 := func(off uint64) uint64 { return binary.LittleEndian.Uint64(image[off:]) }
	for off := u64(headerSize); off <= u64(tailObject); off += (u64(off+8) + 7) &^ 7 {
		if image[off] == entryType && u64(off+16) == e.Seqnum {
			return off
		}
	}
	t.Fatal("the file has no such entry")
	return 0
}

// Readers wait for an entry that journald has not finished, whatever they ask for.
func TestHalfWritten(t *testing.T) {
	for name, cfg := range map[string]logdriver.ReadConfig{
		"all": {Tail: -1}, "tail": {Tail: 1}, "follow": {Tail: -1, Follow: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, complete := halfWritten(t)
				go func() { // the clock goes on once the reader waits
					synctest.Wait()
					complete()
				}()
				msgs := readAll(t, log, cfg)
				if cfg.Tail < 0 {
					wantGolden(t, msgs)
				} else if len(msgs) != cfg.Tail {
					t.Errorf("%d messages", len(msgs))
				}
			})
		})
	}
}

func wantGolden(t *testing.T, msgs []*logdriver.Message) {
	t.Helper()
	const n = 21 // the last one says something else
	if len(msgs) != n {
		t.Fatalf("%d messages, want %d", len(msgs), n)
	}
	wantNumbered(t, msgs[:n-1], n-1)
}

// An entry that stays unfinished is reported in its place.
func TestHalfWrittenForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := halfWritten(t)
		var damage []error
		n := 0
		for m, err := range log.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1}).All() {
			switch {
			case err != nil:
				t.Fatal(err)
			case m.Err != nil:
				damage = append(damage, m.Err)
			default:
				n++
			}
		}
		if n != 20 || len(damage) != 1 || !errors.Is(damage[0], journal.ErrDamaged) {
			t.Errorf("%d messages, damage: %v", n, damage)
		}
	})
}
