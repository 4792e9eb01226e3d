package host

// RaceDetector is raceDetector for the tests outside the package.
var RaceDetector = raceDetector

// BreakSession ends the session with a driver, as an error of its connection does.
func BreakSession(h *Host, name string, err error) {
	h.mu.Lock()
	d := h.drivers[name]
	h.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.session.fail(err)
}

// Unsent returns how many loggers have messages that have not left.
func Unsent(h *Host) (n int) {
	for _, d := range h.used() {
		for _, l := range d.snapshot() {
			l.mu.Lock()
			if l.queue.Unsent() {
				n++
			}
			l.mu.Unlock()
		}
	}
	return n
}
