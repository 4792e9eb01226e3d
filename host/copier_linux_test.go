package host

import (
	"testing"

	"github.com/logplug/logplug/host/internal/terminaltest"
)

// A terminal ends with EIO once its last user is gone, after giving out what was
// written before.
func TestCopierTerminal(t *testing.T) {
	master, user := terminaltest.Open(t)
	if _, err := user.WriteString("hello\nbye"); err != nil {
		t.Fatal(err)
	}
	_ = user.Close()
	dst := &collector{}
	if _, err := copyAll(t, dst, nil, Source{Name: "stdout", Reader: master}); err != nil {
		t.Fatal(err)
	}
	diff(t, "messages", pieces(dst.messages()), []piece{{Line: "hello\r"}, {Line: "bye", Unterminated: true}})
}
