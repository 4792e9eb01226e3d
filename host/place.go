package host

// place is where a logger is open: a process, by its session, and the logger's
// number there.
type place struct {
	session *session
	id      uint64
}

// closedAt tells whether the end of l was that of its logger at p. One that was closed
// there to be opened elsewhere has not ended.
func (l *logger) closedAt(p place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone && l.ended == p
}
