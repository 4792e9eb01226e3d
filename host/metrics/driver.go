package metrics

import (
	"github.com/logplug/logplug/host"
	"github.com/prometheus/client_golang/prometheus"
)

// driverFamilies are the metrics of a driver.
type driverFamilies struct {
	up, state, restarts, loggers family
	totals                       totalsFamilies
	left                         countFamilies
}

func newDriverFamilies(m maker) driverFamilies {
	return driverFamilies{
		up:       m.gauge("logplug_driver_up", "1 if a process of the driver serves, else 0; a driver that nobody uses needs none."),
		state:    m.gauge("logplug_driver_state", "1 for the state that the driver is in, 0 for the others.", labelState),
		restarts: m.counter("logplug_driver_restarts_total", "Number of processes of the driver started in place of earlier ones."),
		loggers:  m.gauge("logplug_driver_loggers", "Number of loggers that are open in the driver."),
		totals:   m.totals("logplug_driver_", "; over all loggers, closed ones included"),
		left:     m.count("logplug_driver_messages_left", "left in the spool's directory by loggers that were closed, for the next host"),
	}
}

func (f *driverFamilies) describe(ch chan<- *prometheus.Desc) {
	for _, g := range []family{f.up, f.state, f.restarts, f.loggers} {
		ch <- g.desc
	}
	f.totals.describe(ch)
	f.left.describe(ch)
}

func (f *driverFamilies) collect(ch chan<- prometheus.Metric, d *host.DriverStats) {
	name := validLabel(d.Driver)
	f.up.send(ch, oneIf(d.State == host.StateRunning), name)
	for _, s := range host.States() {
		f.state.send(ch, oneIf(d.State == s), name, string(s))
	}
	f.restarts.send(ch, float64(d.Restarts), name)
	f.loggers.send(ch, float64(len(d.Loggers)), name)
	f.totals.send(ch, &d.Totals, name)
	f.left.send(ch, d.Totals.Left, name)
}
