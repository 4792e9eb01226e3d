// Package relay is the process that containerd starts for each container: it hands
// the container's pipes over to logplug serve and waits until they are read to
// their end. It keeps duplicates, so that they can be handed over again when serve
// is replaced. Where there is no serve it becomes a logplug that works alone.
//
// Facts about the process that starts it, containerd's shim (runc v2, since
// containerd 1.4): standard output is descriptor 3, standard error 4, and the end of
// descriptor 5 means ready; "binary-v2" (containerd 2.2) wants a byte there before. The
// environment holds nothing but CONTAINER_ID and CONTAINER_NAMESPACE. Each parameter of
// the URI becomes two arguments, in no order. At the end the shim closes its ends of
// the pipes, sends SIGTERM, and SIGKILL 12 s later. It must not end before the
// container does: the shim signals its number, which others may have by then.
package relay
