package cli

import (
	"time"

	"github.com/logplug/logplug/host"
)

const (
	// blockedTick is how often is looked whether the driver is blocked.
	blockedTick = time.Second
	// blockedNotice is how long it must have been for a notice, and silentNotice how
	// long a driver that tells of no trouble may acknowledge nothing.
	blockedNotice = 2 * time.Second
	silentNotice  = 4 * time.Second
)

// watchBlocked tells the user when the driver takes nothing, because the command
// may then stand still, and when it goes on; and logplug drivers, when a driver is in
// quarantine. stop ends that.
func (r *runner) watchBlocked() (stop func()) {
	until, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(blockedTick)
		defer tick.Stop()
		told, acked := false, uint64(0)
		for {
			select {
			case <-until:
				return
			case <-tick.C:
				r.noteQuarantines()
				st := r.logger.Stats()
				if told && st.Acked.Messages == acked {
					continue // also when it is only being closed
				}
				if told = r.tellBlocked(&st, told); told {
					acked = st.Acked.Messages
				}
			}
		}
	}()
	return func() {
		close(until)
		<-ended
	}
}

// tellBlocked returns whether the user was told of trouble that is not over.
func (r *runner) tellBlocked(st *host.LoggerStats, told bool) bool {
	silent := !st.WaitingSince.IsZero() && time.Since(st.WaitingSince) >= silentNotice
	switch {
	case st.Blocked == "" && !silent && told:
		r.notices.Printf("driver %s goes on", st.Driver)
		return false
	case st.Blocked != "" && !told && time.Since(st.BlockedSince) >= blockedNotice:
		r.notices.Printf("driver %s takes nothing at present: %s; %d messages are waiting, and the command waits when it writes more than fits",
			st.Driver, st.Blocked, st.Spooled.Messages)
		return true
	case silent && !told:
		r.notices.Printf("driver %s has acknowledged nothing for %v; %d messages are waiting, and the command waits when it writes more than fits",
			st.Driver, time.Since(st.WaitingSince).Round(time.Second), st.Spooled.Messages)
		return true
	}
	return told
}

// noteQuarantines puts into the job's record which drivers are in quarantine.
func (r *runner) noteQuarantines() {
	var drivers map[string]string
	for _, d := range r.stats().Drivers {
		if d.State != host.StateQuarantined {
			continue
		}
		if drivers == nil {
			drivers = make(map[string]string)
		}
		drivers[d.Driver] = d.LastError
	}
	if err := r.claim.Quarantined(drivers); err != nil {
		r.notices.Printf("%v", err)
	}
}
