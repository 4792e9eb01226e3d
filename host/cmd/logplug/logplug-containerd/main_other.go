//go:build !linux

// Logplug-containerd hands the output of a container over to logplug serve, on
// Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "logplug-containerd: works on Linux only")
	os.Exit(1)
}
