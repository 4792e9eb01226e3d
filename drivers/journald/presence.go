package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"runtime"
	"strings"
)

// presence is a socket that shows other processes, which follow a log, that it is
// being written. It has a name in the abstract namespace, which is
// gone with the process, and nothing is sent to it.
type presence struct{ conn *net.UnixConn }

func presenceAddr(p *place) *net.UnixAddr {
	sum := sha256.Sum256([]byte(strings.Join([]string{p.socket, p.field, p.value}, "\x00")))
	return &net.UnixAddr{Name: "@logplug-journald-" + hex.EncodeToString(sum[:16]), Net: "unixgram"}
}

// announce shows that the log is being written. Where that is not possible, also because
// another writer of the log shows it, followers in other processes end when they have
// read what there is and nobody shows it any more.
func announce(p *place) *presence {
	if runtime.GOOS != "linux" {
		return nil
	}
	conn, err := net.ListenUnixgram("unixgram", presenceAddr(p))
	if err != nil {
		return nil
	}
	return &presence{conn}
}

func (p *presence) end() {
	if p != nil {
		p.conn.Close()
	}
}

// beingWritten tells whether some process writes the log.
func (p *place) beingWritten() bool {
	if runtime.GOOS != "linux" {
		return false
	}
	conn, err := net.DialUnix("unixgram", nil, presenceAddr(p))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
