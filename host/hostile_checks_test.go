package host_test

import (
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

func untilRestart(t *testing.T, r *hostileRun) {
	eventually(t, "a restart", func() bool { return r.stats().Restarts > 0 })
}

// untilReplaced: a process that answers no call is ended though no logger is open.
func untilReplaced(t *testing.T, r *hostileRun) {
	eventually(t, "the end of the process", func() bool { return r.stats().Pid == 0 })
}

func allFailed(t *testing.T, r *hostileRun) {
	eventually(t, "settling", func() bool { return r.logger.Stats().Spooled.Messages == 0 })
	st := r.logger.Stats()
	if st.Failed.Messages == 0 || len(st.LastFailure) > 4<<10 {
		t.Errorf("%d messages failed, the reason has %d bytes", st.Failed.Messages, len(st.LastFailure))
	}
}

// fewFailed: a failure that is repeated counts once, and each acknowledgement has
// the same one many times.
func fewFailed(t *testing.T, r *hostileRun) {
	eventually(t, "settling", func() bool { return r.logger.Stats().Spooled.Messages == 0 })
	if st := r.logger.Stats(); st.Failed.Messages == 0 || st.Acked.Messages == 0 {
		t.Errorf("%d messages failed, %d were acknowledged", st.Failed.Messages, st.Acked.Messages)
	}
}

func noneFailed(t *testing.T, r *hostileRun) {
	eventually(t, "settling", func() bool { return r.logger.Stats().Spooled.Messages == 0 })
	if st := r.logger.Stats(); st.Failed.Messages != 0 {
		t.Errorf("%d messages failed", st.Failed.Messages)
	}
}

func blockedBriefly(t *testing.T, r *hostileRun) {
	eventually(t, "the reason", func() bool { return r.logger.Stats().Blocked != "" })
	if st := r.logger.Stats(); len(st.Blocked) > 4<<10 {
		t.Errorf("the reason has %d bytes", len(st.Blocked))
	}
}

func oneByteParts(t *testing.T, r *hostileRun) {
	eventually(t, "room", func() bool { return r.logger.Stats().Spooled.Messages == 0 })
	before := r.logger.Stats().Accepted.Messages
	logLine(t, r.logger, "0123456789")
	if n := r.logger.Stats().Accepted.Messages - before; n != 10 {
		t.Errorf("%d parts", n)
	}
}

// allSentAgain: what was never sent is, though the driver claims to hold it.
func allSentAgain(t *testing.T, r *hostileRun) {
	eventually(t, "settling", func() bool { return r.logger.Stats().Spooled.Messages == 0 })
	got := lines(t, r.info.Config["state"])
	if first, last := got[0], got[len(got)-1]; !strings.HasPrefix(first, "1-") || !strings.HasSuffix(last, "-100") {
		t.Errorf("the second process got %v", got)
	}
}

func secondRefused(t *testing.T, r *hostileRun) {
	r.within(t, r.limits.Start+r.limits.Call, "second Open", func() error {
		_, err := r.host.Open(testContext(t), r.driver, r.info)
		return err
	}, "in use")
}

// closesEarly reads a few messages and goes away.
func closesEarly(t *testing.T, r *hostileRun) {
	w := r.logger.(logdriver.LogReader).ReadLogs(testContext(t), logdriver.ReadConfig{Tail: -1})
	for range 10 {
		if m, ok := <-w.Msg; ok {
			logdriver.PutMessage(m)
		}
	}
	w.Close()
	r.within(t, 0, "the reading's end", func() error {
		for range w.Msg {
		}
		return nil
	}, "")
}

// doesNotRead leaves a watcher alone while the driver fills it.
func doesNotRead(t *testing.T, r *hostileRun) {
	w := r.logger.(logdriver.LogReader).ReadLogs(testContext(t), logdriver.ReadConfig{Tail: -1})
	defer w.Close()
	waiting, same := 0, 0
	eventually(t, "the watcher to fill", func() bool {
		before := waiting
		if waiting = len(w.Msg); waiting == 0 || waiting != before {
			same = 0
		}
		same++
		return same > 40
	})
}
