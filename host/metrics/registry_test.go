package metrics_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fixed is a Source that always answers the same.
type fixed host.Stats

func (f fixed) Stats() host.Stats { return host.Stats(f) }

func oneLogger(names ...string) fixed {
	d := host.DriverStats{Driver: "d", State: host.StateRunning}
	for _, n := range names {
		d.Loggers = append(d.Loggers, host.LoggerStats{Driver: "d", Logger: n, Accepted: host.Count{Messages: 1}})
	}
	return fixed{Drivers: []host.DriverStats{d}}
}

func TestRegisteringTwiceIsRefused(t *testing.T) {
	source := oneLogger("c")
	reg := register(t, metrics.NewCollector(source, nil))
	var already prometheus.AlreadyRegisteredError
	if err := reg.Register(metrics.NewCollector(source, nil)); !errors.As(err, &already) {
		t.Errorf("got %v", err)
	}
}

func TestSeveralHostsInOneRegistry(t *testing.T) {
	var cs []prometheus.Collector
	for _, name := range []string{"a", "b"} {
		cs = append(cs, metrics.NewCollector(oneLogger("c"), &metrics.Options{Labels: prometheus.Labels{"host": name}}))
	}
	gather(t, register(t, cs...)).want(t, samples{
		`logplug_messages_accepted_total{driver="d",host="a",logger="c"}`: 1,
		`logplug_messages_accepted_total{driver="d",host="b",logger="c"}`: 1,
	})
}

func TestLabelsThatClashAreRefused(t *testing.T) {
	for _, name := range []string{"driver", "logger", "reason", "state", "not valid"} {
		c := metrics.NewCollector(oneLogger("c"), &metrics.Options{Labels: prometheus.Labels{name: "\xff"}})
		if err := prometheus.NewRegistry().Register(c); err == nil {
			t.Errorf("label %q was taken", name)
		}
	}
}

func TestUnregister(t *testing.T) {
	c := metrics.NewCollector(oneLogger("c"), nil)
	reg := register(t, c)
	if !reg.Unregister(c) {
		t.Fatal("the collector was not found")
	}
	if got := gather(t, reg); len(got) != 0 {
		t.Errorf("%v is left", got)
	}
}

// TestCardinality keeps what the package's documentation says.
func TestCardinality(t *testing.T) {
	const perHost, perDriver, perLogger = 7, 27, 21
	for n, source := range map[int]fixed{
		perHost:                             {},
		perHost + perDriver:                 oneLogger(),
		perHost + perDriver + 3*perLogger:   oneLogger("a", "b", "c"),
		perHost + 1*perDriver + 1*perLogger: oneLogger("a", "a", "a"),
	} {
		if got := testutil.CollectAndCount(metrics.NewCollector(source, nil)); got != n {
			t.Errorf("%d series, want %d", got, n)
		}
		if got, most := testutil.CollectAndCount(metrics.NewCollector(source, &metrics.Options{OmitLoggers: true})), perHost+perDriver; got > most {
			t.Errorf("%d series without loggers, want at most %d", got, most)
		}
	}
}

// TestStrangeNames has loggers whose names cannot be labels as they are: none of
// them may make a scrape fail.
func TestStrangeNames(t *testing.T) {
	source := oneLogger("", "\xff\x00", "\uFFFD\x00", "a\nb", strings.Repeat("x", 10_000))
	source.Drivers[0].State = "new"
	gather(t, register(t, metrics.NewCollector(source, nil))).want(t, samples{
		`logplug_messages_accepted_total{driver="d",logger=""}`:      1,
		`logplug_messages_accepted_total{driver="d",logger="�\x00"}`: 2,
		`logplug_messages_accepted_total{driver="d",logger="a\nb"}`:  1,
		`logplug_driver_up{driver="d"}`:                              0,
	})
}

func TestLagOfMessagesFromTheFutureIsZero(t *testing.T) {
	source := oneLogger("c")
	source.Drivers[0].Loggers[0].Oldest = time.Now().Add(time.Hour)
	gather(t, register(t, metrics.NewCollector(source, nil))).want(t, samples{`logplug_logger_lag_seconds{driver="d",logger="c"}`: 0})
}

// TestCacheIsToldFromItsLogger by a series of its own.
func TestCacheIsToldFromItsLogger(t *testing.T) {
	source := oneLogger("c")
	source.Drivers = append(source.Drivers, host.DriverStats{
		Driver: "keeper", Loggers: []host.LoggerStats{{Driver: "keeper", Logger: "c", CacheOf: "d"}},
	})
	gather(t, register(t, metrics.NewCollector(source, nil))).want(t, samples{
		`logplug_logger_cache{driver="d",logger="c"}`:      0,
		`logplug_logger_cache{driver="keeper",logger="c"}`: 1,
	})
}
