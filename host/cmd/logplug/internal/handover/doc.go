// Package handover is how a process hands the pipes of a container over to
// logplug serve: packets on a unix socket of type SOCK_SEQPACKET.
//
//	client                              server
//	Request with two or three files →
//	                                    ← Ready with the carry file, or Refused
//	Go                                →
//	                                    (the server reads the pipes)
//	                                    ← Done
//
// The server does not read before Go, so that a client that lost its patience can
// take the pipes elsewhere; it does if the client is dead and came with a carry file,
// because nobody else has the pipes then. A connection that ends without an answer
// refuses nothing: the client asks again, or works alone. One that ends without Done
// tells that the server does not read any more: the client hands over again, with the
// carry file, which holds what was read and not yet logged.
//
// The package is small on purpose: there is a process that uses it for every
// container.
package handover
