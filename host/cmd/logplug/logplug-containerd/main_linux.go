// Logplug-containerd is what containerd starts for a container whose log URI is
// binary:///usr/bin/logplug-containerd?driver=NAME: a small process that
// hands the container's output over to logplug serve.
package main

import (
	"os"
	"path"

	"github.com/logplug/logplug/host/cmd/logplug/internal/relay"
)

func main() { os.Exit(relay.Main(os.Args[1:], beside())) }

// beside returns the path of the logplug that is installed with this program.
func beside() string {
	self, err := os.Executable()
	if err != nil {
		return "/usr/bin/logplug"
	}
	return path.Join(path.Dir(self), "logplug")
}
