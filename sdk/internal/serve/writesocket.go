package serve

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/logplug/logplug/shared/wire"
)

// writeSocket returns the socket that the host has left to the process, nil if there is
// none, and tells the host that it is used; and so for the memory that belongs to it.
func writeSocket(log *slog.Logger) (*net.UnixConn, *wire.SharedView, error) {
	view, merr := writeMemory()
	conn, err := inheritedSocket()
	if conn == nil || err != nil {
		return nil, nil, err
	}
	if merr != nil {
		log.Warn("all messages come through the write socket, as there is no write memory", "error", merr)
	}
	greeting := wire.WriteMemoryGreeting
	if view == nil {
		greeting = wire.WriteSocketGreeting
	}
	if _, err := io.WriteString(conn, greeting); err != nil {
		return nil, nil, fmt.Errorf("greet through the write socket: %w", errors.Join(err, conn.Close()))
	}
	return conn, view, nil
}

// inheritedSocket returns the socket that the host has left to the process, nil if there
// is none.
func inheritedSocket() (*net.UnixConn, error) {
	fd, err := inherited(wire.EnvWriteSocket)
	if fd == 0 || err != nil {
		return nil, err
	}
	if err := checkSocket(fd); err != nil {
		return nil, fmt.Errorf("%s is %d, which is not the host's socket: %w", wire.EnvWriteSocket, fd, err)
	}
	file := os.NewFile(uintptr(fd), "write socket")
	conn, err := net.FileConn(file) // a duplicate that is not inherited
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("use descriptor %d as write socket: %w", fd, err)
	}
	return conn.(*net.UnixConn), nil // as checkSocket has found
}

// writeMemory returns the memory that the host shares with the process, nil if there is
// none.
func writeMemory() (*wire.SharedView, error) {
	fd, err := inherited(wire.EnvWriteMemory)
	if fd == 0 || err != nil {
		return nil, err
	}
	view, err := wire.MapWriteMemory(fd)
	if err != nil {
		return nil, fmt.Errorf("%s is %d, which is not the host's memory: %w", wire.EnvWriteMemory, fd, err)
	}
	_ = os.NewFile(uintptr(fd), "write memory").Close() // it stays mapped
	return view, nil
}

// inherited returns the descriptor that a variable names, 0 if there is none.
func inherited(variable string) (int, error) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return 0, nil
	}
	_ = os.Unsetenv(variable) // what the driver executes does not have it
	fd, err := strconv.ParseUint(text, 10, 31)
	if err != nil || fd <= 2 {
		return 0, fmt.Errorf("%s is %q, must be the number of a descriptor above 2", variable, text)
	}
	return int(fd), nil
}
