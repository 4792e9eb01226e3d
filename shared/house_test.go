// Package shared_test keeps the rules of the house: who may import whom, and
// that every package says what it is for.
package shared_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/logplug/logplug"

type pkg struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,GoFiles,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// rule says what the packages below one folder may import.
type rule struct {
	text string
	in   func(path string) bool
	bad  func(imported string) bool
}

func under(dirs ...string) func(string) bool {
	return func(path string) bool {
		for _, d := range dirs {
			if path == d || strings.HasPrefix(path, d+"/") {
				return true
			}
		}
		return false
	}
}

func own(dirs ...string) func(string) bool {
	for i := range dirs {
		dirs[i] = module + "/" + dirs[i]
	}
	return under(dirs...)
}

func not(f func(string) bool) func(string) bool { return func(s string) bool { return !f(s) } }

func both(f, g func(string) bool) func(string) bool {
	return func(s string) bool { return f(s) && g(s) }
}

func nonStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

var goPlugin = under("github.com/hashicorp/go-plugin")

var rules = []rule{
	{
		"the contract uses the standard library only",
		own("shared/logdriver"), nonStandard,
	},
	{
		"the wire knows the contract, the generated code and gRPC, neither host nor sdk",
		own("shared/wire"), both(under(module), not(own("shared"))),
	},
	{
		"the host does not know the sdk, nor any driver",
		both(own("host"), not(own("host/cmd", "host/internal/engine", "host/internal/terminaltest"))), own("sdk", "drivers", "examples"),
	},
	{
		"the command, and what tests alone use, know the host and the conformance kit",
		own("host/cmd", "host/internal/engine", "host/internal/terminaltest"), both(own("sdk", "drivers", "examples"), not(own("sdk/drivertest"))),
	},
	{
		"the sdk does not know the host; only the conformance kit does",
		both(own("sdk"), not(own("sdk/drivertest"))), own("host", "drivers", "examples"),
	},
	{
		"the driver that has no sdk knows the generated code alone",
		own("sdk/testdrivers/bare"), both(under(module), not(own("shared/proto"))),
	},
	{
		"go-plugin is known to one package a side",
		not(own("host/internal/launch", "sdk/internal/serve")), goPlugin,
	},
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, r := range rules {
			if !r.in(p.ImportPath) {
				continue
			}
			for _, imp := range p.Imports {
				if r.bad(imp) {
					t.Errorf("%s imports %s, but %s", p.ImportPath, imp, r.text)
				}
			}
		}
		checkDriver(t, p)
	}
}

// checkDriver: a driver knows the sdk, the contract and its own packages, and
// nothing of how it is reached.
func checkDriver(t *testing.T, p pkg) {
	rest, ok := strings.CutPrefix(p.ImportPath, module+"/drivers/")
	if !ok {
		return
	}
	name, _, _ := strings.Cut(rest, "/")
	allowed := own("sdk", "shared/logdriver", "drivers/"+name)
	transport := under("google.golang.org/grpc", "github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog")
	for _, imp := range p.Imports {
		if strings.HasPrefix(imp, module+"/") && !allowed(imp) || transport(imp) {
			t.Errorf("%s imports %s, but a driver uses the sdk and the contract only", p.ImportPath, imp)
		}
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
