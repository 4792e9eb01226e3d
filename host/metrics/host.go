package metrics

import (
	"github.com/logplug/logplug/host"
	"github.com/prometheus/client_golang/prometheus"
)

// hostFamilies are the metrics of a host.
type hostFamilies struct{ bytes, byteLimit, messages, messageLimit, kept, cacheBytes, cacheByteLimit family }

func newHostFamilies(m maker) hostFamilies {
	return hostFamilies{
		bytes:        m.gauge("logplug_host_spooled_bytes", "Encoded size in bytes of what the spools of all loggers but caches hold."),
		byteLimit:    m.gauge("logplug_host_spool_limit_bytes", "Bytes that the spools of all loggers but caches together may hold."),
		messages:     m.gauge("logplug_host_spooled_messages", "Number of messages that the spools of all loggers but caches hold."),
		messageLimit: m.gauge("logplug_host_spool_limit_messages", "Messages that the spools of all loggers but caches together may hold."),

		kept: m.gauge("logplug_host_kept_messages", "Messages that an earlier host left in the spool's directory and this one cannot deliver."),

		cacheBytes:     m.gauge("logplug_host_cache_spooled_bytes", "Encoded size in bytes of what the spools of all caches hold."),
		cacheByteLimit: m.gauge("logplug_host_cache_spool_limit_bytes", "Bytes that the spools of all caches together may hold."),
	}
}

func (f *hostFamilies) describe(ch chan<- *prometheus.Desc) {
	for _, g := range []family{f.bytes, f.byteLimit, f.messages, f.messageLimit, f.kept, f.cacheBytes, f.cacheByteLimit} {
		ch <- g.desc
	}
}

func (f *hostFamilies) collect(ch chan<- prometheus.Metric, st *host.Stats) {
	f.bytes.send(ch, float64(st.SpooledBytes))
	f.byteLimit.send(ch, float64(st.SpoolLimitBytes))
	f.messages.send(ch, float64(st.SpooledMessages))
	f.messageLimit.send(ch, float64(st.SpoolLimitMessages))
	f.kept.send(ch, float64(st.KeptMessages))
	f.cacheBytes.send(ch, float64(st.CacheSpooledBytes))
	f.cacheByteLimit.send(ch, float64(st.CacheSpoolLimitBytes))
}
