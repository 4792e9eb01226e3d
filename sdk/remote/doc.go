// Package remote is what drivers share that send to a server: its address, TLS
// options, connections that are dialed again and resend what the server may not have
// read, and what such connections are made of.
package remote
