package servertest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// startProcess runs a server as a process, which can be killed. more goes into its
// configuration.
func startProcess(t testing.TB, name string, port int, more string) *receiver.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("server_name: %s\nlisten: \"127.0.0.1:%d\"\njetstream { store_dir: %q, max_file: 8G, max_mem: 512M }\n%s", name, port, dir, more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := receiver.Start(t.Context(), receiver.Command{
		Path: self, Dir: dir, Env: []string{serverConfig + "=" + config},
		Ready: func(context.Context) error {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				c.Close()
			}
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// member is a node of a cluster of processes.
type member struct {
	name    string
	url     string
	process *receiver.Process
}

// startCluster returns three nodes that form a cluster.
func startCluster(t testing.TB) []member {
	ports, err := receiver.FreePorts(6)
	if err != nil {
		t.Fatal(err)
	}
	ports, routePorts := ports[:3], ports[3:]
	var routes []string
	for _, port := range routePorts {
		routes = append(routes, fmt.Sprintf("\"nats-route://127.0.0.1:%d\"", port))
	}
	var members []member
	for i := range 3 {
		name := fmt.Sprint("n", i)
		cluster := fmt.Sprintf("cluster { name: c, listen: \"127.0.0.1:%d\", routes: [%s] }\n", routePorts[i], strings.Join(routes, ", "))
		members = append(members, member{name, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]), startProcess(t, name, ports[i], cluster)})
	}
	return members
}

func urls(members []member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.url)
	}
	return strings.Join(all, ",")
}
