package launch

import (
	"net"
	"strconv"

	"github.com/logplug/logplug/shared/wire"
)

// writeSocket is the host's end of a process's write socket, see wire.WriteSocket. The
// methods of nil are those of a process that has none.
type writeSocket struct{ conn *net.UnixConn }

// env returns the variable that tells the process of the socket.
func (s *writeSocket) env() []string {
	if s == nil {
		return nil
	}
	return []string{wire.EnvWriteSocket + "=" + strconv.Itoa(inheritedFD)}
}

// taken returns s if the process has said that it uses the socket, which it does
// before its handshake, and closes it otherwise.
func (s *writeSocket) taken() *writeSocket {
	if s == nil || s.greeting() != wire.WriteSocketGreeting {
		s.close()
		return nil
	}
	return s
}

func (s *writeSocket) close() {
	if s != nil {
		_ = s.conn.Close()
	}
}
