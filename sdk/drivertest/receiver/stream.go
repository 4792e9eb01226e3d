package receiver

import (
	"io"
	"net"
)

// ReadStream accepts a connection, reads it to its end and closes it. The channel gets what
// came, and is closed without a value if nobody has connected before ln was closed.
func ReadStream(ln net.Listener) <-chan string {
	received := make(chan string, 1)
	go func() {
		defer close(received)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(conn) // what came before it broke
		conn.Close()
		received <- string(b)
	}()
	return received
}
