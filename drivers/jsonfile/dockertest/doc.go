// Package dockertest holds tests that Docker's json-file driver reads what the
// driver jsonfile writes, and the other way round. It is a module of its own, so
// that nothing else depends on Docker.
package dockertest
