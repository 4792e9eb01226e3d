//go:build linux

package relay

import (
	"os"

	"github.com/logplug/logplug/host/cmd/logplug/internal/handover"
	"golang.org/x/sys/unix"
)

// outcome is what became of one handing over.
type outcome int

const (
	done    outcome = iota // the pipes were read to their end
	refused                // serve does not want them, for a reason
	absent                 // there is no serve
	lost                   // serve is gone
)

// EnvReady tells the logplug that takes over that containerd knows already that
// logging is ready.
const EnvReady = "LOGPLUG_CONTAINER_READY"

// handOver gives the pipes to serve, and waits until it is done with them.
func (r *relay) handOver() (outcome, string) {
	packet, err := r.request.Marshal()
	if err != nil {
		return refused, err.Error()
	}
	fd, err := handover.Dial(r.socket)
	if err != nil {
		return absent, ""
	}
	defer unix.Close(fd)
	files := []int{FDStdout, FDStderr}
	if r.carry >= 0 {
		files = append(files, r.carry)
	}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerTimeout})
	if handover.Send(fd, packet, files...) != nil {
		return absent, ""
	}
	answer, got, err := handover.Receive(fd, r.buf)
	if err != nil {
		return absent, ""
	}
	if answer[0] != handover.Ready || len(got) != 1 {
		handover.CloseAll(got)
		return refused, string(answer[1:])
	}
	r.keep(got[0])
	if handover.Send(fd, []byte{handover.Go}) != nil {
		return absent, ""
	}
	if err := r.tellReady(); err != nil {
		return refused, "containerd does not wait for logging to be ready: " + err.Error()
	}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{})
	answer, got, err = handover.Receive(fd, r.buf)
	handover.CloseAll(got)
	if err != nil || answer[0] != handover.Done {
		return lost, ""
	}
	return done, ""
}

// keep keeps the carry file for another handing over.
func (r *relay) keep(fd int) {
	if r.carry >= 0 {
		_ = unix.Close(r.carry)
	}
	r.carry = fd
}

// tellReady tells containerd, once.
func (r *relay) tellReady() error {
	if r.ready {
		return nil
	}
	r.ready = true
	return Announce()
}

// Announce tells containerd that logging is ready, by a byte and the end of the pipe
// it waits on.
func Announce() error {
	f := os.NewFile(FDReady, "ready")
	if _, err := f.Write([]byte{0}); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
