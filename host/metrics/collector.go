package metrics

import (
	"time"

	"github.com/logplug/logplug/host"
	"github.com/prometheus/client_golang/prometheus"
)

// Source is what a Collector asks. *host.Host is one.
type Source interface {
	// Stats returns a snapshot. It may be called from several goroutines at once.
	Stats() host.Stats
}

// Options are the choices of NewCollector. The zero value has defaults.
type Options struct {
	// Labels are added to every series, to tell hosts in one registry apart. None
	// may be called driver, logger, reason or state.
	Labels prometheus.Labels
	// OmitLoggers leaves out the series of single loggers.
	OmitLoggers bool
}

// Collector is a prometheus.Collector of a host's statistics. It may be used
// from several goroutines at once, and before and after the host is closed.
type Collector struct {
	source      Source
	families    families
	omitLoggers bool
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector of source's statistics. A nil opts means
// defaults. Labels that cannot be used are reported when it is registered.
func NewCollector(source Source, opts *Options) *Collector {
	if opts == nil {
		opts = &Options{}
	}
	return &Collector{source: source, families: newFamilies(opts.Labels), omitLoggers: opts.OmitLoggers}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	c.families.host.describe(ch)
	c.families.driver.describe(ch)
	if !c.omitLoggers {
		c.families.logger.describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	st := c.source.Stats()
	now := time.Now()
	c.families.host.collect(ch, &st)
	for i := range st.Drivers {
		d := &st.Drivers[i]
		c.families.driver.collect(ch, d)
		if c.omitLoggers {
			continue
		}
		for name, s := range seriesOf(d, now) {
			c.families.logger.collect(ch, s, validLabel(d.Driver), name)
		}
	}
}
