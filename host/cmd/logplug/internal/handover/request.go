//go:build linux

package handover

import (
	"errors"
	"strings"
)

const (
	// MaxPacket is the most that a packet holds, in bytes.
	MaxPacket = 64 << 10
	// maxFields bounds the fields of a request.
	maxFields = 1024
	// version begins each request.
	version = "logplug-handover/1"
)

// The kinds of packets, which are their first bytes.
const (
	kindRequest = 'H'
	Ready       = 'R'
	Refused     = 'E' // the reason follows
	Go          = 'G'
	Done        = 'D'
)

var (
	errTooLarge  = errors.New("the container's id, namespace and settings are larger than 64 KiB")
	errMalformed = errors.New("the packet is no request of this version of logplug")
)

// Request says whose pipes are handed over.
type Request struct {
	ID, Namespace string
	// Settings are alternating names and values.
	Settings []string
}

// Marshal returns r as a packet. Its strings come from arguments and environment
// and therefore hold no NUL.
func (r *Request) Marshal() ([]byte, error) {
	fields := append([]string{version, r.ID, r.Namespace}, r.Settings...)
	b := append([]byte{kindRequest}, strings.Join(fields, "\x00")...)
	if len(b) > MaxPacket || len(fields) > maxFields {
		return nil, errTooLarge
	}
	return b, nil
}

// Unmarshal returns the request in a packet.
func Unmarshal(packet []byte) (r Request, err error) {
	const fixed = 3
	if len(packet) > MaxPacket || len(packet) == 0 || packet[0] != kindRequest {
		return r, errMalformed
	}
	if strings.Count(string(packet), "\x00") >= maxFields {
		return r, errMalformed
	}
	fields := strings.Split(string(packet[1:]), "\x00")
	if len(fields) < fixed || fields[0] != version || fields[1] == "" {
		return r, errMalformed
	}
	return Request{ID: fields[1], Namespace: fields[2], Settings: fields[fixed:]}, nil
}
