// Package serve is the server of logplug serve: it takes over the pipes of containers,
// see package handover, and logs them with one host.
package serve
