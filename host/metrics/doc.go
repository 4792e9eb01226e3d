// Package metrics shows the counters of a host to Prometheus.
//
// Register a Collector; each scrape takes one snapshot of the host's Stats.
// Nothing is counted, kept or run between scrapes, so collecting costs logging
// nothing.
//
// # Loggers
//
// Labels: driver, logger (the name, or else the short ID, or else the log path).
//
//	logplug_messages_accepted_total             messages accepted into the spool
//	logplug_messages_acked_total                messages acknowledged by the driver
//	logplug_messages_dropped_total{reason}      messages given up
//	logplug_messages_failed_total               messages that the driver will never take
//	logplug_messages_accepted_bytes_total       the same four in encoded bytes
//	logplug_messages_acked_bytes_total
//	logplug_messages_dropped_bytes_total{reason}
//	logplug_messages_failed_bytes_total
//	logplug_messages_resent_total               messages sent again to a new process
//	logplug_log_waits_total                     calls of Log that waited for room
//	logplug_spooled_messages, _bytes            accepted and not yet settled
//	logplug_logger_blocked                      1 if the driver makes no progress
//	logplug_logger_lag_seconds                  age of the oldest spooled message
//	logplug_logger_cache                        1 for a cache
//
// In messages and in bytes, accepted = acked + dropped + failed + spooled.
//
// The cache of a logger, see host.CacheConfig, has the series of a logger of the
// same name in its own driver, with logplug_logger_cache 1.
//
// The lag is by the message's own timestamp: it is large for a source that sets
// old ones.
//
// # Drivers
//
// Label: driver. The logplug_driver counters are over all loggers since the host
// began, closed ones included, so they never go back while the host lives. Use
// these for alerts and rates; loggers come and go.
//
//	logplug_driver_up                           1 if its process serves
//	logplug_driver_state{state}                 1 for the present state, else 0
//	logplug_driver_restarts_total               processes started in place of others
//	logplug_driver_loggers                      open loggers
//	logplug_driver_messages_..._total           as for loggers, bytes and resent too
//	logplug_driver_messages_left_total          messages left to the next host in the
//	logplug_driver_messages_left_bytes_total    spool's directory by loggers closed
//	logplug_driver_log_waits_total              calls of Log that waited for room
//
// # Host
//
//	logplug_host_spooled_bytes                  held by all spools but those of caches
//	logplug_host_spool_limit_bytes              what they may hold
//	logplug_host_spooled_messages               the same in messages
//	logplug_host_spool_limit_messages
//	logplug_host_kept_messages                  left by an earlier host, and not to be
//	                                            delivered: their driver is not there
//	logplug_host_cache_spooled_bytes            held by the spools of all caches
//	logplug_host_cache_spool_limit_bytes        what they may hold
//
// # Cardinality
//
// An open logger has 21 series, a driver 27, a host 7. A logger's series end with
// it, so at any time there are as many as loggers are open; but in Prometheus the
// names of all loggers that ever were add up. Where names do not recur, as with
// those of jobs, set Options.OmitLoggers.
//
// Loggers of one driver that have the same name share series: sums, except that
// blocked and lag are those of the worst. Closed ones count on while another of
// the name is open. A name that is opened again after its last logger was closed
// begins at 0, which rate and increase take for the restart that it is.
//
// # Several hosts
//
// A registry takes a host's collector once. Where hosts share a registry, tell
// them apart by Options.Labels.
package metrics
