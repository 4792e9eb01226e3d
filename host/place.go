package host

// place is where a logger is open: a process, by its session, and the logger's
// number there.
type place struct {
	session *session
	id      uint64
}

// placeLocked returns where l is open. It is called with l.mu.
func (l *logger) placeLocked() place { return place{l.session, l.id} }

// hasLeft tells whether l is not open at p any more, or not for long.
func (l *logger) hasLeft(p place) bool {
	if p.session.over() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.placeLocked() != p
}

// closedAt tells whether the end of l was that of its logger at p. One that was closed
// there to be opened elsewhere has not ended.
func (l *logger) closedAt(p place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone && l.ended == p
}
