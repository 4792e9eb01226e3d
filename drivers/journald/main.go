// The driver journald writes messages to systemd's journal and reads them back.
package main

import (
	"os"

	"github.com/logplug/logplug/sdk"
)

func main() { os.Exit(sdk.Main(driver())) }
