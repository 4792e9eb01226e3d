package host

// enlist adds a logger that is not opened before it is released.
func (d *driver) enlist(l *logger) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.held = true
	d.addLocked(l)
}

// release opens a logger that was enlisted, as openSoon does.
func (d *driver) release(l *logger) {
	d.mu.Lock()
	l.held = false
	s := d.session
	d.mu.Unlock()
	if !d.openIn(s, l) {
		// A host that is closing delivers what it can of what an earlier one left. Who
		// finishes that calls this.
		d.host.spool.wg.Go(func() { d.reopenLogger(s, l, nil) })
	}
}

// openSoon opens a logger in the background, in the process that runs or in the
// next one. A closed host opens nothing: l, which has accepted nothing, is closed.
func (d *driver) openSoon(l *logger) {
	d.mu.Lock()
	closed := d.host.isClosed()
	if !closed {
		d.addLocked(l)
	}
	s := d.session
	d.mu.Unlock()
	if closed {
		_ = l.Close() // has nothing to deliver
		return
	}
	d.openIn(s, l)
}

// openIn opens a logger in s in the background. Where that has ended, or is nil, the
// next process opens what is openable. It returns false if the host is closing.
func (d *driver) openIn(s *session, l *logger) bool {
	if s == nil || s.ctx.Err() != nil {
		d.want()
		return true
	}
	return d.host.startReading(func() { d.reopenLogger(s, l, nil) })
}

// openable returns the loggers that a new process opens.
func (d *driver) openable() []*logger {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.openableLocked()
}

// openableLocked is openable. It is called with d.mu.
func (d *driver) openableLocked() (list []*logger) {
	for l := range d.loggers {
		if !l.held {
			list = append(list, l)
		}
	}
	return list
}
