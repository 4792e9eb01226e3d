package natslog

import (
	"net"
	"sync"
)

// dialer makes connections for the library, and remembers why the last one could not
// be made: the library forgets that while it goes on trying.
type dialer struct {
	net.Dialer
	mu  sync.Mutex
	err error
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.Dialer.Dial(network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	return conn, err
}

// lastError returns why there is no connection, or nil if a server took the last one.
func (d *dialer) lastError() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}
