package journal

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// golden writes a file that journald made into a directory of its own.
func golden(t testing.TB, name string) (dir string, f *os.File) {
	t.Helper()
	z, err := os.Open(filepath.Join("testdata", name+".journal.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r, err := gzip.NewReader(z)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	f, err = os.Create(filepath.Join(dir, "system.journal"))
	if err == nil {
		_, err = io.Copy(f, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return dir, f
}

func message(e *Entry) (line string, err error) {
	err = e.Fields(func(name, value []byte) bool {
		if string(name) == "MESSAGE" {
			line = string(value)
		}
		return true
	})
	return line, err
}

// rest reads what follows.
func rest(t *testing.T, r *Reader) (lines []string) {
	t.Helper()
	var e Entry
	for {
		ok, err := r.Next(&e)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return lines
		}
		line, err := message(&e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"compact", "regular"} {
		t.Run(name, func(t *testing.T) {
			dir, _ := golden(t, name)
			r := NewReader([]string{dir}, "CONTAINER_ID_FULL", "golden")
			defer r.Close()
			if err := r.Refresh(); err != nil {
				t.Fatal(err)
			}
			if n := r.Pending(); n != 21 {
				t.Fatalf("%d entries", n)
			}
			lines := rest(t, r)
			for i, line := range lines[:20] {
				if line != fmt.Sprintf("message %d", i+1) {
					t.Errorf("entry %d is %q", i, line)
				}
			}
			if want := string(bytes.Repeat([]byte("compressed "), 200)); lines[20] != want {
				t.Errorf("the compressed one is %q", lines[20])
			}
			r.Tail(3)
			if got := rest(t, r); len(got) != 3 || got[0] != "message 19" {
				t.Errorf("tail: %q", got)
			}
			r.Rewind()
			var tenth Entry
			for range 10 {
				if _, err := r.Next(&tenth); err != nil {
					t.Fatal(err)
				}
			}
			r.Seek(func(e *Entry) bool { return !e.Before(&tenth) })
			if got := rest(t, r); len(got) != 12 || got[0] != "message 10" {
				t.Errorf("seek: %q", got)
			}
		})
	}
}

// A damaged entry is reported in its place, and the others are read.
func TestDamagedEntry(t *testing.T) {
	dir, f := golden(t, "regular")
	r := NewReader([]string{dir}, "CONTAINER_ID_FULL", "golden")
	defer r.Close()
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	off, err := r.sources[0].series.offset(7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{9}, int64(off)); err != nil { // no such type
		t.Fatal(err)
	}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	var e Entry
	read, damaged := 0, 0
	for {
		ok, err := r.Next(&e)
		if !ok {
			break
		}
		if err != nil {
			damaged++
		} else {
			read++
		}
	}
	if read != 20 || damaged != 1 {
		t.Errorf("%d entries, %d reports of damage", read, damaged)
	}
	if r.Tail(20); r.Pending() != 21 {
		t.Errorf("tail 20 has %d entries, with the damaged one between them", r.Pending())
	}
}

func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty.journal": "", "text.journal": string(bytes.Repeat([]byte("text"), 1000))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader([]string{dir, filepath.Join(dir, "missing")}, "A", "b")
	defer r.Close()
	if err := r.Refresh(); err != nil || r.Pending() != 0 {
		t.Error(r.Pending(), err)
	}
}

// The vector of the paper that describes SipHash, appendix A.
func TestSipHash(t *testing.T) {
	var key [16]byte
	var data [15]byte
	for i := range key {
		key[i] = byte(i)
	}
	copy(data[:], key[:])
	if got := sipHash(key, data[:]); got != 0xa129ca6149be45e5 {
		t.Errorf("%#x", got)
	}
}

func TestLZ4(t *testing.T) {
	for _, tc := range []struct {
		block string
		want  string
	}{
		{"\x30abc", "abc"},
		{"\x35abc\x03\x00\x00", "abcabcabcabc"},                            // 9 bytes from 3 before, then nothing
		{"\x1fa\x01\x00\x05\x10b", "a" + "aaaaaaaaaaaaaaaaaaaaaaaa" + "b"}, // 4+15+5 bytes
	} {
		got, err := lz4Block([]byte(tc.block), len(tc.want))
		if err != nil || string(got) != tc.want {
			t.Errorf("%q: %q, %v", tc.block, got, err)
		}
		if _, err := lz4Block([]byte(tc.block), len(tc.want)+1); err == nil {
			t.Errorf("%q: a wrong size is accepted", tc.block)
		}
	}
}

func FuzzLZ4(f *testing.F) {
	f.Add([]byte("\x1fa\x01\x00\x05\x10b"), 26)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		if out, err := lz4Block(b, size); err == nil && len(out) != size {
			t.Errorf("%d bytes, want %d", len(out), size)
		}
	})
}

// FuzzFile reads files with three words changed. Its arguments are numbers, which
// need not be minimized: that takes longer than the fuzzing.
func FuzzFile(f *testing.F) {
	f.Add(false, false, uint32(0), uint32(0), uint32(0), uint32(0), uint32(0), uint32(0))
	f.Add(true, true, uint32(104), uint32(0xffffffff), uint32(0x1000), uint32(1), uint32(0x1008), uint32(2))
	dirs, files, images := [2]string{}, [2]*os.File{}, [2][]byte{}
	for i, name := range []string{"compact", "regular"} {
		dirs[i], files[i] = golden(f, name)
		var err error
		if images[i], err = os.ReadFile(files[i].Name()); err != nil {
			f.Fatal(err)
		}
		// Where the log's index, its arrays and its last entry are.
		for _, part := range lastParts(f, dirs[i]) {
			off := uint32(part.off)
			f.Add(i == 1, i == 0, off, uint32(0), off+8, uint32(0xffffff), off+16, off)
		}
	}
	f.Fuzz(func(t *testing.T, regular, archived bool, off1, v1, off2, v2, off3, v3 uint32) {
		i := 0
		if regular {
			i = 1
		}
		file, image := files[i], images[i]
		write := func(b []byte, off int64) {
			if _, err := file.WriteAt(b, off); err != nil {
				t.Fatal(err)
			}
		}
		for _, patch := range [][2]uint32{{off1, v1}, {off2, v2}, {off3, v3}} {
			off := int64(patch[0]) % int64(len(image)-4)
			write(binary.LittleEndian.AppendUint32(nil, patch[1]), off)
			defer write(image[off:off+4], off)
		}
		if archived { // then damage is told at once
			write([]byte{stateArchived}, 16)
			defer write(image[16:17], 16)
		}
		readPatched(t, dirs[i])
	})
}

// readPatched must end, whatever the file says.
func readPatched(t *testing.T, dir string) {
	r := NewReader([]string{dir}, "CONTAINER_ID_FULL", "golden")
	defer r.Close()
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	everything := func() {
		var e Entry
		for n := 0; ; n++ {
			ok, err := r.Next(&e)
			if !ok {
				return
			}
			if err == nil {
				_, _ = message(&e)
			}
			if n > 1<<20 {
				t.Fatal("it does not end")
			}
		}
	}
	everything()
	r.Tail(1000)
	everything()
	r.Seek(func(e *Entry) bool { return e.Seqnum > 10 })
	everything()
}
