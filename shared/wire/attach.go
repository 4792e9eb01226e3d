package wire

import (
	"encoding/json"
	"fmt"
	"path/filepath"
)

// Attachment says how to reach a driver that is running already.
type Attachment struct {
	// PID is the process that listens on Address.
	PID int `json:"pid"`
	// Network is "unix".
	Network string `json:"network"`
	// Address is the path of the socket.
	Address string `json:"address"`
	// Protocol is the version of the protocol that the driver serves.
	Protocol int `json:"protocol"`
}

// maxAttachBytes bounds the text that ParseAttach takes.
const maxAttachBytes = 64 << 10

// FormatAttach returns the value of EnvAttach for one driver, in JSON:
//
//	{"jsonfile":{"pid":4711,"network":"unix","address":"/tmp/x/plugin1","protocol":1}}
func FormatAttach(name string, a Attachment) string {
	// Strings and numbers can always be encoded.
	text, _ := json.Marshal(map[string]Attachment{name: a})
	return string(text)
}

// ParseAttach reads the value of EnvAttach and returns the attachments by the
// drivers' names. The empty text gives none.
func ParseAttach(text string) (map[string]Attachment, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxAttachBytes {
		return nil, fmt.Errorf("read %s: %d bytes exceed the limit of %d", EnvAttach, len(text), maxAttachBytes)
	}
	var all map[string]Attachment
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read %s: %w; paste the text that the driver printed, in single quotes", EnvAttach, err)
	}
	for name, a := range all {
		if err := a.check(name); err != nil {
			return nil, fmt.Errorf("read %s: driver %q: %w", EnvAttach, name, err)
		}
	}
	return all, nil
}

func (a Attachment) check(name string) error {
	switch {
	case !ValidName(name):
		return fmt.Errorf("a name consists of %s", NamePattern)
	case a.PID <= 0:
		return fmt.Errorf("pid is %d, must be positive", a.PID)
	case a.Network != "unix":
		return fmt.Errorf("network is %q, must be unix", a.Network)
	case !filepath.IsAbs(a.Address):
		return fmt.Errorf("address %q is not an absolute path", a.Address)
	case a.Protocol < MinProtocol || a.Protocol > MaxProtocol:
		return fmt.Errorf("it serves protocol %d, the host speaks %d to %d", a.Protocol, MinProtocol, MaxProtocol)
	}
	return nil
}
