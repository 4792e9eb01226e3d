package logfile

import (
	"errors"
	"os"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// Numbered files are found from their names where the index does not tell, and other
// files beside them are left alone.
func TestNumberedWithoutIndex(t *testing.T) {
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles, cfg.Numbered = 1, 4, true
	l := mustOpen(t, cfg)
	add(t, l, 0, 9)
	l.Close()
	removeIndexes(t, cfg)
	for _, other := range []string{".1", ".00000077.txt", ".9999", ".x", "-00000099"} {
		write(t, cfg.Path+other, "not of this log\n")
	}
	expect(t, mustReader(t, cfg), all, texts(5, 9))
	l = mustOpen(t, cfg)
	expect(t, l, all, texts(5, 9))
	add(t, l, 9, 10)
	expect(t, l, all, texts(6, 10))
	if !exists(cfg.names().file(9)) || exists(cfg.names().file(6)) || !exists(cfg.Path+".1") {
		t.Error("wrong files")
	}
	l.Close()
	// Nothing but an old file is left: numbers go on.
	for _, key := range []uint64{0, 8, 9} {
		if err := errors.Join(os.Remove(cfg.names().file(key)), os.RemoveAll(cfg.names().index(key))); err != nil {
			t.Fatal(err)
		}
	}
	l = mustOpen(t, cfg)
	add(t, l, 10, 12)
	expect(t, l, all, append(texts(6, 7), texts(10, 12)...))
	if !exists(cfg.names().file(8)) {
		t.Error("wrong numbers")
	}
}

// A rotation that fails after the full file was moved is gone on with.
func TestInterruptedRotation(t *testing.T) {
	for _, names := range []bool{false, true} {
		cfg := config(t)
		cfg.MaxSize, cfg.MaxFiles, cfg.Numbered = 1, 4, names
		l := mustOpen(t, cfg)
		add(t, l, 0, 3)
		// A directory is in the way of the new file.
		if err := l.shift(); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(cfg.Path+"/x", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(numbered(3, 4)); err == nil {
			t.Error("no error")
		}
		if err := os.RemoveAll(cfg.Path); err != nil {
			t.Fatal(err)
		}
		add(t, l, 3, 5)
		expect(t, l, all, texts(1, 5))
		expect(t, mustReader(t, cfg), all, texts(1, 5))
		l.Close()
	}
}

// Compressed files of either codec cost what is damaged in them, no more.
func TestCodecs(t *testing.T) {
	for _, codec := range []Codec{Gzip, Zstd} {
		cfg := config(t)
		cfg.MaxSize, cfg.MaxFiles, cfg.Compress, cfg.Codec, cfg.Numbered = size(0, 2), 5, true, codec, true
		l := mustOpen(t, cfg)
		add(t, l, 0, 7)
		n := cfg.names()
		for key := uint64(1); key <= 3; key++ {
			until(t, "compressed", func() bool { return exists(n.packed(key)) && !exists(n.file(key)) })
		}
		l.Close()
		write(t, n.packed(3)+".tmp", "")
		b, err := os.ReadFile(n.packed(2))
		if err != nil {
			t.Fatal(err)
		}
		for at := range b {
			bad := append([]byte(nil), b...)
			bad[at] ^= 0x55
			if err := os.WriteFile(n.packed(2), bad, 0o640); err != nil {
				t.Fatal(err)
			}
			got := drainAll(t, mustReader(t, cfg).ReadLogs(t.Context(), all))
			if len(got) < 5 || got[1] != text(1) || got[len(got)-3] != text(4) {
				t.Errorf("byte %d: %q", at, got)
			}
			expect(t, mustReader(t, cfg), logdriver.ReadConfig{Tail: 3}, texts(4, 7))
		}
	}
}
