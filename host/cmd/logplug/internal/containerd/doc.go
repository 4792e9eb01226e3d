// Package containerd logs the output of containers that containerd runs with a
// binary:// log URI: Settings are what the URI says, and a Session brings the
// container's pipes to a logger.
package containerd
