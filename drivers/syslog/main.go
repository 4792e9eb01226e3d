// The driver syslog sends logs to a syslog server or to the local syslog daemon.
package main

import (
	"os"

	"github.com/logplug/logplug/sdk"
)

func main() { os.Exit(sdk.Main(driver())) }
