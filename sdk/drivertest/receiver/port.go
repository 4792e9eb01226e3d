package receiver

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// The range that FreePort takes ports from lies below that of Linux for outgoing
// connections: a port of that range may be in use when a receiver starts again,
// and a client that dials it meanwhile can even connect to itself.
const (
	firstPort = 10000
	lastPort  = 32000
)

// FreePort returns a port of 127.0.0.1 that nobody uses, with TCP or UDP, and that
// the system gives to nobody else by itself.
func FreePort() (int, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if portIsFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d was found", firstPort, lastPort)
}

func portIsFree(port int) bool {
	tcp, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	_ = udp.Close()
	return true
}
