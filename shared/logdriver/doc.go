// Package logdriver is the contract between programs that log and drivers
// that keep what they logged. It depends on the standard library only.
//
// A [Logger] takes messages for one source of logs: a container, a job, a
// service. A driver that can give messages back implements [LogReader] too
// and says so with [Capability]. The same interfaces hold on both sides of the
// process boundary: a host hands out a Logger that travels to a driver
// process, and the driver implements Logger to receive it there.
//
// The comments on the interfaces are obligations. The conformance kit,
// package drivertest, checks them against real driver processes.
package logdriver
