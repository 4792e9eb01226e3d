// Logplug runs commands with their output going to a log driver, and reads it
// back.
package main

import (
	"os"

	"github.com/logplug/logplug/host/cmd/logplug/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
