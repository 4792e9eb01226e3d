// Package servertest tests the driver nats against real NATS servers, which run
// in the test's process. It is a module of its own, so that nothing else depends
// on the server.
package servertest
