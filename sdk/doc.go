// Package sdk is for authors of drivers. A driver is a [Driver] value with a
// struct for its options, and a main function of one line:
//
//	func main() { os.Exit(sdk.Main(driver)) }
//
// Main does the rest: it describes the driver and its options, serves hosts,
// decodes options, hands batches to the driver's loggers, retries, keeps order,
// acknowledges, answers panics as errors, and ends the process with its host.
//
// Calls for different loggers run at the same time or share a goroutine, as it comes:
// one that calls [runtime.LockOSThread] undoes that before it returns. On Linux, the
// process's threads have short turns on a processor (see sched_setattr(2)), so that a
// message does not wait for whoever logs to sleep; processes that a driver starts inherit that.
//
// What a driver logs with [log/slog]'s default logger appears in the host's log
// under the driver's name, with the values of secret options masked.
package sdk
