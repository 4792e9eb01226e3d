//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// quickRace keeps programs with the race detector from waiting a second before
// they exit.
const quickRace = "atexit_sleep_ms=0"

// waitLimit bounds each wait of the tests.
const waitLimit = 60 * time.Second

func TestScripts(t *testing.T) {
	t.Parallel()
	drivers := t.TempDir()
	install(t, drivers, jsonfile(t), local(t), driver(t, "box"))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("LOGPLUG_PLUGIN_DIR", drivers)
			env.Setenv("LOGPLUG_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			env.Setenv("DRIVERS", drivers)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", quickRace)
			env.Setenv("SCRIPT", "\tfor i in 1; do\n\t\techo hi\n\tdone # äöü\n")
			env.Setenv("ESCAPE", ": \x1b[31m;")
			env.Setenv("LONG", ": "+strings.Repeat("ä", 100))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitfor": waitFor,
			"code":    wantCode,
		},
	})
}

// waitFor waits until a file exists and contains a text: waitfor FILE TEXT.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE TEXT")
	}
	err := poll(func() bool { return contains(ts.MkAbs(args[0]), args[1]) })
	if err != nil {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		ts.Fatalf("%s has no %q within %v, but:\n%s", args[0], args[1], waitLimit, text)
	}
}

// wantCode runs a program that exits with the given code: code N PROGRAM ARG...
func wantCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARG...")
	}
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}
