package servertest

import (
	"fmt"
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/logplug/logplug/drivers/nats/internal/natslog"
	"github.com/logplug/logplug/sdk/drivertest"
)

// serverConfig in the environment makes the test binary a NATS server: the value
// is its configuration file.
const serverConfig = "SERVERTEST_NATS_CONFIG"

func TestMain(m *testing.M) {
	if path := os.Getenv(serverConfig); path != "" {
		os.Exit(serve(path))
	}
	drivertest.Main(m, drivertest.Of(natslog.Driver()))
}

func serve(path string) int {
	opts, err := server.ProcessConfigFile(path)
	if err == nil {
		opts.NoLog = true
		var s *server.Server
		if s, err = server.NewServer(opts); err == nil {
			s.Start()
			s.WaitForShutdown()
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, "run a server:", err)
	return 1
}
