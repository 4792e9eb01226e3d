// Package host lets a program send its log output to driver processes and read
// it back.
//
// A [Host] finds drivers in directories, starts each one that is used once, and
// replaces it when it dies, hangs, or has a new binary. [Host.Open] gives a
// [Logger] for one source of logs; it is a logdriver.LogReader as well exactly
// when the driver can read, or a cache is kept. [Copier], [NewWriter], [NewHandler] and
// [NewHCLogSink] bring output to a logger.
//
// With [Config].Cache, what goes to a driver that cannot read is kept by another one
// as well, so that each logger is a reader; see [CacheConfig].
//
// # Delivery
//
// What a logger has accepted stays in its spool until the driver acknowledged
// that its sink has it, and is sent again to the driver's next process where the
// first one died: at least once, in order, and exactly once with a driver that
// remembers how far it got. With [SpoolConfig].Dir the same holds when this
// process is killed: the next host on the directory delivers the rest. Where
// the spool is full, Log waits or drops as the logger's options say, see
// [Host.Open]; what a driver will never take goes to a file, see [DeadLetter].
//
// For every logger, at any moment, what was accepted is acknowledged, dropped,
// failed, or in the spool: [Host.Stats] has the counters, and package metrics
// gives them to Prometheus.
//
// # Drivers are not trusted
//
// Every wait for a driver has a deadline, see [Timeouts]. A driver that floods,
// lies, or ends again and again harms its own loggers only. [Config].Pins
// executes known binaries alone; [Config].Sandbox bounds what they may do.
package host
