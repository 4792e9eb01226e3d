// Logplug-driver-hostile-NAME misbehaves in the one way that NAME says, for tests
// of hosts. It uses neither the sdk nor go-plugin: what they would prevent is
// what it is for.
package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/logplug/logplug/shared/wire"
)

// prefix begins the names of all these drivers.
const prefix = "hostile-"

// behaviour makes an honest driver a hostile one, or does not even return.
type behaviour func(*driver)

// behaviours returns all of them by name.
func behaviours() map[string]behaviour {
	all := map[string]behaviour{"honest": func(*driver) {}}
	for _, group := range []map[string]behaviour{
		starts(), outputs(), connections(), acks(), writes(), sockets(), memories(), opens(), reads(), describes(), calls(), answers(),
	} {
		maps.Copy(all, group)
	}
	return all
}

func main() { os.Exit(run(filepath.Base(os.Args[0]))) }

func run(binary string) int {
	name := strings.TrimPrefix(binary, wire.DriverPrefix+prefix)
	all := behaviours()
	change, ok := all[name]
	switch {
	case !ok && name == "list": // for the tests: they cover every one
		fmt.Println(strings.Join(slices.Sorted(maps.Keys(all)), "\n"))
		return 0
	case !ok:
		fmt.Fprintf(os.Stderr, "%s: there is no behaviour %q\n", binary, name)
		return 2
	}
	d := honest(prefix + name)
	change(d)
	if err := d.serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// hang stays until the host is gone.
func hang() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}
