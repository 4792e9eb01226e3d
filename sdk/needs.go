package sdk

import (
	"fmt"
	"path/filepath"

	"github.com/logplug/logplug/shared/logdriver"
)

// maxPort is the highest number of a TCP port.
const maxPort = 65535

// checkNeeds finds mistakes in a driver's needs.
func checkNeeds(n *logdriver.Needs) error {
	for _, p := range n.ConnectPorts {
		if p < 1 || p > maxPort {
			return fmt.Errorf("Needs.ConnectPorts: %d is not a port, 1 to %d", p, maxPort)
		}
	}
	for _, p := range n.ListenPorts {
		if p < 0 || p > maxPort {
			return fmt.Errorf("Needs.ListenPorts: %d is not a port, 0 to %d", p, maxPort)
		}
	}
	for _, p := range n.WritePaths {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("Needs.WritePaths: %q is not an absolute path", p)
		}
	}
	return nil
}
