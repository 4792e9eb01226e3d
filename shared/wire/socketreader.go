package wire

import "syscall"

// socketReader reads ahead from a socket, and without waiting where that is asked for.
type socketReader struct {
	raw  syscall.RawConn
	buf  []byte
	r, w int   // what of buf was read ahead
	err  error // what reading has ended with; it comes behind that

	dst     []byte // of receive
	n       int    // bytes that receive has put there
	receive func(fd uintptr) (done bool)
	try     func(fd uintptr)
	wait    func(fd uintptr) (done bool)
}

func newSocketReader(raw syscall.RawConn, size int) *socketReader {
	r := &socketReader{raw: raw, buf: make([]byte, size)}
	r.receive = func(fd uintptr) (done bool) {
		r.n, done, r.err = receiveNow(fd, r.dst)
		return done
	}
	r.try = func(fd uintptr) { r.receive(fd) }
	r.wait = readable
	return r
}

// ahead returns what was read and not taken.
func (r *socketReader) ahead() []byte { return r.buf[r.r:r.w] }

// into receives to dst: what there is if wait is false, which may be nothing, and else at least one
// byte, or an error.
func (r *socketReader) into(dst []byte, wait bool) int {
	if r.err != nil || len(dst) == 0 {
		return 0
	}
	r.dst, r.n = dst, 0
	var err error
	if wait {
		err = r.raw.Read(r.receive)
	} else {
		err = r.raw.Control(r.try)
	}
	r.dst = nil
	if err != nil {
		r.err = err
	}
	return r.n
}

// fill reads ahead, see into.
func (r *socketReader) fill(wait bool) {
	if r.r > 0 {
		r.r, r.w = 0, copy(r.buf, r.ahead())
	}
	r.w += r.into(r.buf[r.w:], wait)
}

// await waits until there is something to receive, which may be the end. Nothing is taken.
func (r *socketReader) await() error { return r.raw.Read(r.wait) }

// Read implements io.Reader.
func (r *socketReader) Read(p []byte) (n int, err error) {
	if r.r == r.w {
		if len(p) >= len(r.buf) {
			n = r.into(p, true)
			return n, r.failed(n)
		}
		r.fill(true)
	}
	n = copy(p, r.ahead())
	r.r += n
	return n, r.failed(n)
}

// failed returns the error of a Read that has read n bytes.
func (r *socketReader) failed(n int) error {
	if n > 0 {
		return nil
	}
	return r.err
}
