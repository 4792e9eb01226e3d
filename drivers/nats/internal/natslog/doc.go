// Package natslog is the driver nats: logs in a stream of NATS JetStream.
//
// Each log has a subject of its own, and each line is a message on it. A logger
// appends to its subject by compare-and-swap: what it publishes is stored only if
// the last message of the subject is the one that it knows. Lines that arrive
// together are published as one atomic batch, of which the server stores all or
// nothing. The last message of a subject therefore always tells how far each
// writer got, and a message whose fate is unknown is neither lost nor stored twice,
// however much later it is sent again.
package natslog
