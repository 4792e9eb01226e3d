package host

import (
	"slices"
	"time"
)

// Count is a number of messages and the bytes that they take encoded.
type Count struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
}

// Add adds o to c.
func (c *Count) Add(o Count) {
	c.Messages += o.Messages
	c.Bytes += o.Bytes
}

// LoggerStats are one logger's counters. At any moment
// Accepted = Acked + Dropped + Failed + Spooled, in messages and in bytes.
type LoggerStats struct {
	Driver string `json:"driver"`
	Logger string `json:"logger"`

	// Accepted: Log took them, or they were dropped at once as the logger's
	// policy says. Messages that tell of drops count too, and what an earlier
	// host left in the spool's directory.
	Accepted Count `json:"accepted"`
	// Acked: the driver acknowledged them.
	Acked Count `json:"acked"`
	// Failed: the driver rejected them for good, or its processes ended on them
	// again and again.
	Failed Count `json:"failed"`
	// Dropped: given up, all reasons together.
	Dropped Count `json:"dropped"`
	// DroppedBy has the reasons that occurred: DropNewest, DropOldest,
	// DropUndelivered, DropDamaged.
	DroppedBy map[string]Count `json:"droppedBy,omitempty"`
	// Spooled: accepted and not yet settled.
	Spooled Count `json:"spooled"`
	// Oldest is the timestamp of the oldest spooled message; zero if there is
	// none. It is the message's own, which its source may have set.
	Oldest time.Time `json:"oldest,omitzero"`
	// Resent messages were sent again to a new process of the driver.
	Resent uint64 `json:"resent"`
	// Waits counts calls of Log that had to wait for room.
	Waits uint64 `json:"waits"`

	// Blocked says why the driver makes no progress; empty if it does.
	Blocked string `json:"blocked,omitempty"`
	// BlockedSince is when that began.
	BlockedSince time.Time `json:"blockedSince,omitzero"`
	// WaitingSince is since when the driver has acknowledged nothing of what is on
	// its way to it; zero if nothing is. It grows old with a sink that hangs, where
	// the driver has no error to tell.
	WaitingSince time.Time `json:"waitingSince,omitzero"`
	// LastFailure is the reason of the failure seen last.
	LastFailure string `json:"lastFailure,omitempty"`

	// CacheOf, of the cache of a logger, is the driver of that one, which has the
	// same name. See CacheConfig.
	CacheOf string `json:"cacheOf,omitempty"`
	// Cache are the counters of the logger's cache; nil if it has none. Logger.Stats
	// sets it. In Host.Stats a cache is listed once, with its own driver.
	Cache *LoggerStats `json:"cache,omitempty"`

	claim claim // room that it has taken ahead
}

// DriverStats are one driver's state and counters.
type DriverStats struct {
	Driver string `json:"driver"`
	Path   string `json:"path"`
	// State is what the driver is doing.
	State State `json:"state"`
	// Pid is the process's number, 0 if none runs.
	Pid int `json:"pid,omitempty"`
	// Restarts counts processes that were started in place of one that ended.
	Restarts uint64 `json:"restarts"`
	// LastError is why the last process ended or could not be started.
	LastError string        `json:"lastError,omitempty"`
	Loggers   []LoggerStats `json:"loggers"`
	// Totals are those of all loggers since the host began, closed ones included.
	Totals Totals `json:"totals"`
	// Closed are those of closed loggers whose name an open one has, by name:
	// with them, what is counted under a name does not shrink while it is in use.
	Closed map[string]Totals `json:"closed,omitempty"`
}

// Stats is a snapshot of a host.
type Stats struct {
	Drivers []DriverStats `json:"drivers"`
	// SpooledBytes is what the spools of all loggers hold together, and what busy ones
	// have claimed ahead while there is plenty.
	SpooledBytes int64 `json:"spooledBytes"`
	// SpoolLimitBytes bounds it, see SpoolConfig.HostBytes.
	SpoolLimitBytes int64 `json:"spoolLimitBytes"`
	// SpooledMessages and SpoolLimitMessages are the same in messages.
	SpooledMessages    int64 `json:"spooledMessages"`
	SpoolLimitMessages int64 `json:"spoolLimitMessages"`
	// KeptMessages are those in the spool's directory that an earlier host left and this
	// one cannot deliver: their driver is not there, or nothing tells whose they are. They
	// are not among the above, and stay for another host.
	KeptMessages int64 `json:"keptMessages"`
	// CacheSpooledBytes is what the spools of all caches hold, which are not among
	// the above, and CacheSpoolLimitBytes bounds it, see CacheConfig.SpoolBytes.
	CacheSpooledBytes    int64 `json:"cacheSpooledBytes"`
	CacheSpoolLimitBytes int64 `json:"cacheSpoolLimitBytes"`
}

// counter counts messages and bytes.
type counter struct{ messages, bytes uint64 }

func (c *counter) add(messages uint64, bytes int) {
	c.messages += messages
	c.bytes += uint64(bytes)
}

func (c counter) export() Count { return Count{c.messages, c.bytes} }

// Reasons for dropping messages, in LoggerStats.DroppedBy.
const (
	DropNewest      = "newest"      // the spool was full, policy drop=newest
	DropOldest      = "oldest"      // the spool was full, policy drop=oldest
	DropUndelivered = "undelivered" // the logger was closed before the driver took them
	DropDamaged     = "damaged"     // found damaged in the spool's directory
)

const (
	droppedNewest = iota
	droppedOldest
	droppedUndelivered
	droppedDamaged
	dropReasons
)

// States returns all states that a driver can be in.
func States() []State {
	return []State{StateIdle, StateStarting, StateRunning, StateBackoff, StateQuarantined, StateClosed}
}

// DropReasons returns all reasons for dropping messages.
func DropReasons() []string { return slices.Clone(dropNames[:]) }

var dropNames = [dropReasons]string{DropNewest, DropOldest, DropUndelivered, DropDamaged}

// counts are a logger's counters, under its lock.
type counts struct {
	accepted, acked, failed counter
	dropped                 [dropReasons]counter
	resent, waits           uint64
	progress                time.Time // of the last sign of progress while messages are on their way
	lastFailure             string
}

// settle counts messages that have left the spool with an acknowledgement, of
// which some failed.
func (c *counts) settle(messages uint64, size int, failed counter) {
	failed.messages, failed.bytes = min(failed.messages, messages), min(failed.bytes, uint64(size))
	c.failed.messages += failed.messages
	c.failed.bytes += failed.bytes
	c.acked.add(messages-failed.messages, size-int(failed.bytes))
}

// remark counts by how many and by how much more the messages are that tell of
// drops. Where one was removed and there was no room for its successor, it was
// dropped itself: nothing that was accepted vanishes.
func (c *counts) remark(marks, size int) {
	if marks < 0 || size < 0 {
		c.dropped[droppedOldest].add(uint64(-marks), -size)
		return
	}
	c.accepted.add(uint64(marks), size)
}

// exportDropped returns the sum over all reasons, and those that occurred.
func (c *counts) exportDropped() (sum Count, by map[string]Count) {
	for i, d := range c.dropped {
		if d.messages == 0 {
			continue
		}
		if by == nil {
			by = make(map[string]Count)
		}
		by[dropNames[i]] = d.export()
		sum.Add(d.export())
	}
	return sum, by
}

// blocked is why a logger makes no progress, and since when.
type blocked struct {
	reason string
	since  time.Time
}

func (b *blocked) set(reason string) {
	if reason == "" {
		*b = blocked{}
		return
	}
	if b.reason == "" {
		b.since = time.Now()
	}
	b.reason = reason
}

// suffix is the reason for the end of an error's text.
func (b *blocked) suffix() string {
	if b.reason == "" {
		return ""
	}
	return " (" + b.reason + ")"
}

// Stats implements Logger.
func (l *logger) Stats() LoggerStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.counts
	st := LoggerStats{
		Driver: l.driver.name, Logger: l.label(),
		Accepted: c.accepted.export(), Acked: c.acked.export(), Failed: c.failed.export(),
		Spooled: Count{l.queue.Count() + l.left.Messages, uint64(l.queue.Bytes()) + l.left.Bytes},
		Oldest:  l.driver.host.spool.oldest(l.queue),
		Resent:  c.resent, Waits: c.waits,
		Blocked: l.blocked.reason, BlockedSince: l.blocked.since, LastFailure: c.lastFailure, CacheOf: l.cacheOf, claim: l.claim,
	}
	if l.session != nil && l.inflight > 0 {
		st.WaitingSince = c.progress
	}
	st.Dropped, st.DroppedBy = c.exportDropped()
	return st
}
