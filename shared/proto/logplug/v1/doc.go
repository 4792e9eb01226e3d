// Package logplugv1 is the generated code of the driver protocol, version 1.
// PROTOCOL.md explains the protocol.
package logplugv1
