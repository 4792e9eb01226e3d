// Package filelock keeps other processes out of a directory or socket.
package filelock
