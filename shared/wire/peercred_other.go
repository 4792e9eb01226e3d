//go:build !linux && !darwin

package wire

import "errors"

const peerCredentialsSupported = false

// peerOfSocket always fails: this system does not name the peers of sockets.
func peerOfSocket(int) (Peer, error) {
	return Peer{}, errors.New("this system does not name the peers of unix sockets")
}
