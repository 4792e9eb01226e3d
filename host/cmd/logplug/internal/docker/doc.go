// Package docker serves Docker's log driver plugin protocol, so that containers log
// through drivers of logplug.
//
// # From the daemon to the driver
//
// For each container the daemon makes a FIFO and writes frames into it (package
// frame). The FIFO's bytes are moved by splice(2) into a journal, a file below the state directory: the
// kernel takes exactly those bytes out of the FIFO that the file has got, so there is no moment at
// which killing this process loses any or has any twice. From the journal they are decoded and logged
// into the host, whose spool is below the state directory too; how far that got is
// noted in mapped memory, after each message.
//
// The daemon holds its FIFOs open for reading as well, so that they outlive this
// process. A service that starts finds what it left in the state directory, opens the FIFOs
// again, and goes on behind the last message that the spool or the driver has.
//
// # Nothing waits for a driver
//
// The daemon cannot stop a container while it is writing to a full FIFO. So a FIFO is left unread only
// while the container is seen to run: as soon as it has no process any more, the rest of its output is
// taken, whatever its driver does, and delivered later. Stopping waits for the FIFO to
// be empty, and starting waits for a driver for some seconds only.
package docker
