// The driver nats keeps logs in a stream of NATS JetStream, from which any host
// that reaches the cluster reads them back.
package main

import (
	"os"

	"github.com/logplug/logplug/drivers/nats/internal/natslog"
	"github.com/logplug/logplug/sdk"
)

func main() { os.Exit(sdk.Main(natslog.Driver())) }
