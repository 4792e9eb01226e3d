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
