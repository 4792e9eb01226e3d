// Package launch starts driver processes, connects to them and ends them.
//
// It trusts nothing that a driver does: whatever a process prints, ignores or
// leaves behind, every call returns within its bounds, memory stays bounded, and
// the process, its group, its pipes and its sockets are gone afterwards. It is
// the only package of the host that knows go-plugin.
package launch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/logplug/logplug/shared/wire"
)

// Config says which driver to start and how.
type Config struct {
	// Name is the driver's name, for errors.
	Name string
	// Path is the binary to execute.
	Path string
	// Args are its arguments, without the program's name.
	Args []string
	// Env is the complete environment ("K=V") that the driver gets, apart from
	// the variables of the handshake, which are added.
	Env []string
	// SocketDir is an existing private directory, see NewSocketDir. Each
	// process gets a directory of its own inside, which is removed with it.
	SocketDir string
	// Logger receives the lines of the driver's stderr at their levels.
	Logger hclog.Logger
	// StartTimeout bounds Start from the execution to the first healthy answer,
	// and Describe. 0 means DefaultStartTimeout.
	StartTimeout time.Duration
	// Sandbox confines the process.
	Sandbox Sandbox
	// Verify, if not nil, is called with the SHA-256 of the binary's bytes, and
	// an error that it returns fails the start. Exactly these bytes are executed,
	// whatever becomes of the file at Path: on Linux from sealed memory, which
	// the process sees as descriptor 3, elsewhere from a private copy. Path stays
	// its first argument.
	Verify func(sum [sha256.Size]byte) error
}

// DefaultStartTimeout bounds the start of a driver where Config says nothing.
const DefaultStartTimeout = 30 * time.Second

// AttachConfig says which running driver to connect to.
type AttachConfig struct {
	// Name is the driver's name, for errors.
	Name string
	// Attachment says where it listens.
	Attachment wire.Attachment
	// Logger receives remarks about the connection.
	Logger hclog.Logger
	// StartTimeout bounds Attach. 0 means DefaultStartTimeout.
	StartTimeout time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" || c.Path == "" {
		return c, errors.New("start a driver: both a name and a path are needed")
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.StartTimeout <= 0 {
		c.StartTimeout = DefaultStartTimeout
	}
	return c, nil
}

func (c AttachConfig) withDefaults() (AttachConfig, error) {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.StartTimeout <= 0 {
		c.StartTimeout = DefaultStartTimeout
	}
	if v := c.Attachment.Protocol; v < wire.MinProtocol || v > wire.MaxProtocol {
		return c, &VersionError{Driver: c.Name, DriverRange: single(v), HostRange: hostRange()}
	}
	if c.Attachment.Network != "unix" {
		return c, fmt.Errorf("attach to driver %s: network is %q, only unix sockets can be attached to", c.Name, c.Attachment.Network)
	}
	return c, nil
}
