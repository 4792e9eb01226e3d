// Package wire carries the contract of package logdriver over gRPC: the
// handshake's constants, a codec that moves messages without allocating,
// conversions for everything that is not hot, errors that keep their identity,
// and credentials that ask the kernel who is at the other end.
//
// On the wire everything is standard protobuf as logplug.proto describes it:
// the other side may use generated code in any language.
package wire
