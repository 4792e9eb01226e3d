// Package carry holds what was read from the pipes of a container and is not logged
// yet, in shared memory that outlives the process: whoever reads the pipes next goes
// on exactly there.
//
// The memory is a sealed memfd, which the process that owns the pipes keeps. What
// happens is noted in it before and after each step:
//
//   - before a read, the room for it is filled with bytes that do not occur in UTF-8;
//     if the reader is killed in the middle of it, what differs was read;
//   - before a message is logged, the logger's position (host.Positioner) is noted; if
//     the process is killed before it notes that the message was logged, the
//     next one's position tells.
//
// So nothing is lost, and nothing is logged twice where positions survive. Two
// exceptions: of a read that was interrupted, bytes at its end that happen to equal the
// fill are lost, which text in UTF-8 does not contain (for random bytes the
// chance is 1 in 256 for each such kill); and a driver that does not remember
// how far it got gets one message again.
package carry
