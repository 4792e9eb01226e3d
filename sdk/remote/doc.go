// Package remote is what drivers share that send to a server: its address, TLS
// options, and connections that are dialed again and resend what the server may
// not have read.
package remote
