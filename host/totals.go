package host

import "maps"

// Totals are counters that several loggers have in common. They only grow. At any
// moment Accepted = Acked + Dropped + Failed + Left + what is spooled by those of
// the loggers that are open. See LoggerStats for the fields.
type Totals struct {
	Accepted  Count            `json:"accepted"`
	Acked     Count            `json:"acked"`
	Failed    Count            `json:"failed"`
	Dropped   Count            `json:"dropped"`
	DroppedBy map[string]Count `json:"droppedBy,omitempty"`
	// Left stayed in the spool's directory when their logger was closed, for the
	// next host to deliver.
	Left   Count  `json:"left"`
	Resent uint64 `json:"resent"`
	Waits  uint64 `json:"waits"`
}

// Add adds o to t.
func (t *Totals) Add(o Totals) {
	t.Accepted.Add(o.Accepted)
	t.Acked.Add(o.Acked)
	t.Failed.Add(o.Failed)
	t.Dropped.Add(o.Dropped)
	for reason, n := range o.DroppedBy {
		if t.DroppedBy == nil {
			t.DroppedBy = make(map[string]Count)
		}
		n.Add(t.DroppedBy[reason])
		t.DroppedBy[reason] = n
	}
	t.Left.Add(o.Left)
	t.Resent += o.Resent
	t.Waits += o.Waits
}

func (t Totals) clone() Totals {
	t.DroppedBy = maps.Clone(t.DroppedBy)
	return t
}

// Totals returns the counters of a logger that is open.
func (s *LoggerStats) Totals() Totals {
	return Totals{
		Accepted: s.Accepted, Acked: s.Acked, Failed: s.Failed, Dropped: s.Dropped, DroppedBy: s.DroppedBy,
		Resent: s.Resent, Waits: s.Waits,
	}
}

// past is what the closed loggers of a driver have counted: all together, and by
// name where another logger of that name is open. It is bounded by the number of
// open loggers.
type past struct {
	all   Totals
	names map[string]*namesakes
}

// namesakes are the loggers of one name.
type namesakes struct {
	open   int
	closed Totals
	had    bool // some were closed
}

func newPast() past { return past{names: make(map[string]*namesakes)} }

func (p *past) opened(name string) {
	n := p.names[name]
	if n == nil {
		n = &namesakes{}
		p.names[name] = n
	}
	n.open++
}

// closed takes over the last counters of a logger.
func (p *past) closed(last *LoggerStats) {
	t := last.Totals()
	t.Left = last.Spooled
	p.all.Add(t)
	n := p.names[last.Logger]
	if n.open--; n.open == 0 {
		delete(p.names, last.Logger)
		return
	}
	n.closed.Add(t)
	n.had = true
}

func (p *past) export() (all Totals, byName map[string]Totals) {
	for name, n := range p.names {
		if !n.had {
			continue
		}
		if byName == nil {
			byName = make(map[string]Totals)
		}
		byName[name] = n.closed.clone()
	}
	return p.all.clone(), byName
}
