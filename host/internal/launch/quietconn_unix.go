//go:build unix && !linux

package launch

import (
	"errors"
	"net"
	"os"

	"github.com/logplug/logplug/shared/wire"
)

// newQuietConn uses socket, which is not the caller's any more. It is as quiet as the system has it.
func newQuietConn(socket *os.File) (wire.SocketConn, error) {
	conn, err := net.FileConn(socket)
	if err = errors.Join(err, socket.Close()); err != nil { // conn is a duplicate
		return nil, err
	}
	return conn.(*net.UnixConn), nil // as a socket pair has it
}
