// The driver local keeps logs in local files of its own compact format: the default
// for machines.
package main

import (
	"os"

	"github.com/logplug/logplug/sdk"
)

func main() { os.Exit(sdk.Main(driver())) }
