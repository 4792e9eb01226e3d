package metrics

import (
	"strings"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/prometheus/client_golang/prometheus"
)

// loggerFamilies are the metrics of loggers.
type loggerFamilies struct {
	totals                                             totalsFamilies
	spooledMessages, spooledBytes, blocked, lag, cache family
}

func newLoggerFamilies(m maker) loggerFamilies {
	return loggerFamilies{
		totals:          m.totals("logplug_", ""),
		spooledMessages: m.gauge("logplug_spooled_messages", "Number of messages accepted and not yet settled."),
		spooledBytes:    m.gauge("logplug_spooled_bytes", "Encoded size in bytes of messages accepted and not yet settled."),
		blocked:         m.gauge("logplug_logger_blocked", "1 if the driver makes no progress with the logger, else 0."),
		cache:           m.gauge("logplug_logger_cache", "1 if it is the cache of a logger of that name in another driver, else 0."),
		lag:             m.gauge("logplug_logger_lag_seconds", "Age in seconds of the oldest spooled message by its timestamp, 0 if there is none."),
	}
}

func (f *loggerFamilies) describe(ch chan<- *prometheus.Desc) {
	f.totals.describe(ch)
	for _, g := range []family{f.spooledMessages, f.spooledBytes, f.blocked, f.lag, f.cache} {
		ch <- g.desc
	}
}

func (f *loggerFamilies) collect(ch chan<- prometheus.Metric, s *series, driver, logger string) {
	f.totals.send(ch, &s.totals, driver, logger)
	f.spooledMessages.send(ch, float64(s.spooled.Messages), driver, logger)
	f.spooledBytes.send(ch, float64(s.spooled.Bytes), driver, logger)
	f.blocked.send(ch, oneIf(s.blocked), driver, logger)
	f.lag.send(ch, s.lag.Seconds(), driver, logger)
	f.cache.send(ch, oneIf(s.cache), driver, logger)
}

// series is what all loggers of one name in a driver have together.
type series struct {
	totals  host.Totals
	spooled host.Count
	blocked bool
	lag     time.Duration
	cache   bool // some of them are
}

// seriesOf returns the series of d's loggers by label. A label that occurs twice
// would make the whole scrape fail.
func seriesOf(d *host.DriverStats, now time.Time) map[string]*series {
	all := make(map[string]*series, len(d.Loggers))
	for i := range d.Loggers {
		l := &d.Loggers[i]
		label := validLabel(l.Logger)
		s := all[label]
		if s == nil {
			s = &series{}
			all[label] = s
		}
		s.add(l, now)
	}
	for name, t := range d.Closed {
		// Different names may have become the same label.
		if s := all[validLabel(name)]; s != nil {
			s.totals.Add(t)
		}
	}
	return all
}

func (s *series) add(l *host.LoggerStats, now time.Time) {
	s.totals.Add(l.Totals())
	s.spooled.Add(l.Spooled)
	s.blocked = s.blocked || l.Blocked != ""
	s.cache = s.cache || l.CacheOf != ""
	if !l.Oldest.IsZero() {
		s.lag = max(s.lag, now.Sub(l.Oldest)) // not negative for a message from the future
	}
}

// validLabel returns name as a label's value can be: UTF-8.
func validLabel(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }
