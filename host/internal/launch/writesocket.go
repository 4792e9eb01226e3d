package launch

import (
	"os"
	"strconv"

	"github.com/hashicorp/go-hclog"

	"github.com/logplug/logplug/shared/wire"
)

// writeSocket is the host's end of a process's write socket, see wire.WriteSocket, with the
// memory that belongs to it. The methods of nil are those of a process that has none.
type writeSocket struct {
	conn   wire.SocketConn
	memory *wire.WriteMemory // nil if there is none
}

// offerWriteSocket returns what a process is to inherit, from inheritedFD on.
func offerWriteSocket(log hclog.Logger) (*writeSocket, []*os.File) {
	s, socket, err := newWriteSocket()
	if err != nil {
		log.Debug("the driver gets its messages by gRPC", "reason", err)
		return nil, nil
	}
	memory, file, err := wire.NewWriteMemory()
	if err != nil {
		log.Debug("the driver gets its messages through a socket alone", "reason", err)
		return s, []*os.File{socket}
	}
	s.memory = memory
	return s, []*os.File{socket, file}
}

// env returns the variables that tell the process of the socket and the memory.
func (s *writeSocket) env() []string {
	if s == nil {
		return nil
	}
	env := []string{wire.EnvWriteSocket + "=" + strconv.Itoa(inheritedFD)}
	if s.memory != nil {
		env = append(env, wire.EnvWriteMemory+"="+strconv.Itoa(inheritedFD+1))
	}
	return env
}

// taken returns s if the process has said that it uses the socket, which it does
// before its handshake, and closes it otherwise. The memory is closed unless
// the process has said that it uses that, too.
func (s *writeSocket) taken() *writeSocket {
	if s == nil {
		return nil
	}
	switch greeting := s.greeting(); {
	case greeting == wire.WriteMemoryGreeting && s.memory != nil:
	case greeting == wire.WriteSocketGreeting:
		_ = s.memory.Close()
		s.memory = nil
	default:
		s.close()
		return nil
	}
	return s
}

func (s *writeSocket) close() {
	if s != nil {
		_ = s.conn.Close()
		_ = s.memory.Close()
	}
}
