// Package engine starts container engines for tests and benchmarks: real ones, with their
// own data and sockets, which see nothing of others on the same machine.
package engine
