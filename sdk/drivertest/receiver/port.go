package receiver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
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
	ports, err := FreePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// FreePorts is FreePort for several that differ.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range 1000 + n {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort)
		if !slices.Contains(ports, port) && portIsFree(port) {
			ports = append(ports, port)
		}
	}
	return nil, fmt.Errorf("%d of %d free ports from %d to %d were found", len(ports), n, firstPort, lastPort)
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
