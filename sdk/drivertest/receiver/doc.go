// Package receiver starts the servers that network drivers send to, for tests
// and benchmarks: the real programs, as child processes with their own
// configuration, data and sockets in a directory of the caller's.
package receiver
