//go:build unix

package spool

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"golang.org/x/sys/unix"
)

// TestGrowLeavesAloneWhatIsInUse where the file system takes room for what is written
// alone: that has none before, as a file without content shows.
func TestGrowLeavesAloneWhatIsInUse(t *testing.T) {
	t.Parallel()
	const used, grown = 64 * pageBytes, 66 * pageBytes
	path := filepath.Join(t.TempDir(), "messages")
	m, err := mapFile(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.(*file).allocate = func(*os.File, int64, int64) error { return unix.EOPNOTSUPP }
	if err := m.Grow(used, grown); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if n := st.Blocks * sectorBytes; n < grown-used || n >= used {
		t.Errorf("the file takes %d bytes, want %d: it was written to before what it grew by", n, grown-used)
	}
}

// TestGrowBehindWhatWasLeft by an earlier process, which is in use again.
func TestGrowBehindWhatWasLeft(t *testing.T) {
	t.Parallel()
	m := fill(t, 3, pageBytes)
	q, _ := m.restore(t)
	left := q.store.(*Arena).grown
	if _, _, err := appendTo(q, &logdriver.Message{}); err != nil {
		t.Fatal(err)
	}
	if left < 3 || m.used != left*pageBytes {
		t.Errorf("the first %d bytes are said to be in use, want %d pages", m.used, left)
	}
}
