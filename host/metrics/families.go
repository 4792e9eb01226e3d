package metrics

import (
	"slices"

	"github.com/logplug/logplug/host"
	"github.com/prometheus/client_golang/prometheus"
)

// Names of labels.
const (
	labelDriver = "driver"
	labelLogger = "logger"
	labelReason = "reason"
	labelState  = "state"
)

// families are all metrics, by what they are of.
type families struct {
	host   hostFamilies
	driver driverFamilies
	logger loggerFamilies
}

func newFamilies(constant prometheus.Labels) families {
	return families{
		host:   newHostFamilies(maker{constant: constant}),
		driver: newDriverFamilies(maker{constant: constant, labels: []string{labelDriver}}),
		logger: newLoggerFamilies(maker{constant: constant, labels: []string{labelDriver, labelLogger}}),
	}
}

// family is one metric.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// send gives a sample to ch, or the reason why it cannot be one, which then is
// the scrape's.
func (f family) send(ch chan<- prometheus.Metric, value float64, labels ...string) {
	m, err := prometheus.NewConstMetric(f.desc, f.kind, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(f.desc, err)
	}
	ch <- m
}

// maker makes families that have labels in common.
type maker struct {
	constant prometheus.Labels
	labels   []string
}

func (m maker) counter(name, help string, more ...string) family {
	return family{m.desc(name, help, more), prometheus.CounterValue}
}

func (m maker) gauge(name, help string, more ...string) family {
	return family{m.desc(name, help, more), prometheus.GaugeValue}
}

func (m maker) desc(name, help string, more []string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, slices.Concat(m.labels, more), m.constant)
}

// countFamilies are a number of messages and their size.
type countFamilies struct{ messages, bytes family }

func (m maker) count(name, what string, more ...string) countFamilies {
	return countFamilies{
		m.counter(name+"_total", "Number of messages "+what+".", more...),
		m.counter(name+"_bytes_total", "Encoded size in bytes of messages "+what+".", more...),
	}
}

func (f countFamilies) describe(ch chan<- *prometheus.Desc) {
	ch <- f.messages.desc
	ch <- f.bytes.desc
}

func (f countFamilies) send(ch chan<- prometheus.Metric, c host.Count, labels ...string) {
	f.messages.send(ch, float64(c.Messages), labels...)
	f.bytes.send(ch, float64(c.Bytes), labels...)
}

// totalsFamilies are what loggers and drivers have in common.
type totalsFamilies struct {
	accepted, acked, dropped, failed countFamilies
	resent, waits                    family
}

// totals makes families whose names begin with prefix. scope ends their help.
func (m maker) totals(prefix, scope string) totalsFamilies {
	messages := prefix + "messages_"
	return totalsFamilies{
		accepted: m.count(messages+"accepted", "accepted, those dropped at once and those that tell of drops included"+scope),
		acked:    m.count(messages+"acked", "acknowledged by the driver"+scope),
		dropped:  m.count(messages+"dropped", "given up, by reason"+scope, labelReason),
		failed:   m.count(messages+"failed", "that the driver will never take"+scope),
		resent:   m.counter(messages+"resent_total", "Number of messages sent again to a new process of the driver"+scope+"."),
		waits:    m.counter(prefix+"log_waits_total", "Number of calls of Log that waited for room in the spool"+scope+"."),
	}
}

func (f *totalsFamilies) describe(ch chan<- *prometheus.Desc) {
	for _, c := range []countFamilies{f.accepted, f.acked, f.dropped, f.failed} {
		c.describe(ch)
	}
	ch <- f.resent.desc
	ch <- f.waits.desc
}

// send sends all reasons for dropping, also those that have not occurred: a
// counter that only appears at 1 has no rate.
func (f *totalsFamilies) send(ch chan<- prometheus.Metric, t *host.Totals, labels ...string) {
	f.accepted.send(ch, t.Accepted, labels...)
	f.acked.send(ch, t.Acked, labels...)
	f.failed.send(ch, t.Failed, labels...)
	for _, reason := range host.DropReasons() {
		f.dropped.send(ch, t.DroppedBy[reason], slices.Concat(labels, []string{reason})...)
	}
	f.resent.send(ch, float64(t.Resent), labels...)
	f.waits.send(ch, float64(t.Waits), labels...)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
