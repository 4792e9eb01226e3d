// Package child runs the one command of a logplug process: it looks it up, starts
// it with pipes for its output, hands signals on, and tells its exit code as a
// shell would.
package child
