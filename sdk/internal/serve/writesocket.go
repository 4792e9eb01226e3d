package serve

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/logplug/logplug/shared/wire"
)

// writeSocket returns the socket that the host has left to the process, nil if there is
// none, and tells the host that it is used.
func writeSocket() (*net.UnixConn, error) {
	text, ok := os.LookupEnv(wire.EnvWriteSocket)
	if !ok {
		return nil, nil
	}
	_ = os.Unsetenv(wire.EnvWriteSocket) // what the driver executes does not have it
	fd, err := strconv.ParseUint(text, 10, 31)
	if err != nil || fd <= 2 {
		return nil, fmt.Errorf("%s is %q, must be the number of a descriptor above 2", wire.EnvWriteSocket, text)
	}
	if err := checkSocket(int(fd)); err != nil {
		return nil, fmt.Errorf("%s is %d, which is not the host's socket: %w", wire.EnvWriteSocket, fd, err)
	}
	file := os.NewFile(uintptr(fd), "write socket")
	conn, err := net.FileConn(file) // a duplicate that is not inherited
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("use descriptor %d as write socket: %w", fd, err)
	}
	unix := conn.(*net.UnixConn) // as checkSocket has found
	if _, err := io.WriteString(unix, wire.WriteSocketGreeting); err != nil {
		return nil, fmt.Errorf("greet through the write socket: %w", errors.Join(err, conn.Close()))
	}
	return unix, nil
}
