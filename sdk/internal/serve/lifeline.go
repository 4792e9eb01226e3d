package serve

import (
	"io"
	"os"
)

// isLifeline tells whether f is the end of a pipe or socket that a host holds.
// Hosts that give their drivers no stdin leave the null device there, whose end
// means nothing.
func isLifeline(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

// watchLifeline closes gone when r ends: the kernel closes the other end when the
// host dies, however it dies.
func watchLifeline(r io.Reader, gone chan<- struct{}) {
	_, _ = io.Copy(io.Discard, r)
	close(gone)
}
