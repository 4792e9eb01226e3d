// The driver jsonfile keeps logs in local files, in the format of Docker's
// json-file driver.
package main

import (
	"os"

	"github.com/logplug/logplug/sdk"
)

func main() { os.Exit(sdk.Main(driver())) }
