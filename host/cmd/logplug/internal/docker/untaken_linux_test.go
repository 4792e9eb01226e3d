package docker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// What cannot be taken up for a while is taken up later, as what it is: a stream before those
// that began since. Until then the daemon is told to keep its FIFO.
func TestTakenUpLater(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	path, reader, writer := pipe(t)
	reader.Close()
	output, _ := frames("hello")
	write(t, writer, output)
	info := logdriver.Info{ContainerID: "c"}
	r := record{File: path, Driver: "none", Info: info, Began: time.Now().Add(time.Hour)}
	dir, err := r.create(filepath.Join(state, streamsDir))
	if err != nil {
		t.Fatal(err)
	}
	first := record{File: filepath.Join(state, "first"), Driver: "none", Info: info, Began: time.Now()}
	if _, err := first.create(filepath.Join(state, streamsDir)); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(dir, journalFile)
	if err := os.Mkdir(journal, 0o700); err != nil { // cannot be opened
		t.Fatal(err)
	}
	unreadable := filepath.Join(state, streamsDir, "strange")
	if err := os.Mkdir(unreadable, 0o700); err != nil {
		t.Fatal(err)
	}
	s := resumed(t, state)
	files := []string{first.File, path}
	for range 2 {
		fifo, reader, _ := pipe(t)
		reader.Close()
		if err := s.Start(t.Context(), fifo, "none", info); err != nil {
			t.Error(err)
		}
		files = append(files, fifo)
	}
	if err := s.Start(t.Context(), path, "none", info); err != nil {
		t.Error(err)
	}
	if err := s.Stop(t.Context(), path); err == nil {
		t.Error("the daemon may remove a FIFO with output")
	}
	if s.retake(); s.streams[path] != nil || len(s.untaken) != 2 {
		t.Fatal("it is taken up though it cannot be opened")
	}
	if err := os.Remove(journal); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(unreadable); err != nil {
		t.Fatal(err)
	}
	s.retake()
	late := s.streams[path]
	if late == nil || len(s.untaken) != 0 {
		t.Fatal("it is not taken up")
	}
	await(t, late.intake.done, "the intake ends")
	if size, _ := late.journal.bytes(); !late.full() || size != int64(len(output)) {
		t.Errorf("%d bytes are taken", size)
	}
	streams, _ := s.containers["c"].snapshot()
	for i, st := range streams {
		if st.File != files[i] {
			t.Errorf("number %d is %s", i, st.File)
		}
		if st.resumed != st.intake.stopped() && i > 0 {
			t.Errorf("number %d is stopped: %v", i, st.intake.stopped())
		}
	}
	if len(streams) != len(files) {
		t.Errorf("there are %d streams", len(streams))
	}
}
