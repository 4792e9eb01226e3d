package logfile

import "testing"

// A writer that has finished a record and closed since its file was opened is not one
// that left an incomplete record.
func TestWriterClosesDuringSnapshot(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 3)
	r := newRemote(&cfg)
	defer r.close()
	gens, err := r.all()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(gens)
	g := gens[len(gens)-1]
	g.size -= 5 // it was in the middle of the last record
	l.Close()
	if err := r.settle(g); err != nil || g.size != size(0, 3) {
		t.Errorf("%d bytes, want %d, %v", g.size, size(0, 3), err)
	}
}
