// Package render writes messages that were read back to the outputs of a command.
package render
