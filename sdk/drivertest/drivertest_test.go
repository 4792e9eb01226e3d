package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/drivertest"
	"github.com/logplug/logplug/shared/logdriver"
)

func TestMain(m *testing.M) {
	good := (&tiny{stores: map[string]*store{}}).driver("tiny")
	misnamed := good
	misnamed.Name = "another"
	drivertest.Main(m,
		drivertest.Of(good),
		drivertest.Of(sink()),
		drivertest.Program{Name: "misnamed", Main: func() int { return sdk.Main(misnamed) }},
		drivertest.Program{Name: "undescribed", Main: func() int {
			if len(os.Args) > 1 {
				fmt.Println(`{"name":"undescribed","version":"9","protocol":{"min":1,"max":1}}`)
				return 0
			}
			return sdk.Main((&tiny{stores: map[string]*store{}}).driver("undescribed"))
		}},
		drivertest.Of(greedy()),
		drivertest.Of(squeamish()),
		drivertest.Program{Name: "silent", Main: func() int {
			if len(os.Args) == 1 && os.Getenv("PLUGIN_PROTOCOL_VERSIONS") == "" {
				return 0
			}
			return sdk.Main((&tiny{stores: map[string]*store{}}).driver("silent"))
		}},
		drivertest.Program{Name: "chatty", Main: func() int {
			fmt.Println("starting up")
			return sdk.Main((&tiny{stores: map[string]*store{}}).driver("chatty"))
		}},
		drivertest.Program{Name: "lifeless", Main: func() int {
			// Its own stdin never ends.
			if r, w, err := os.Pipe(); err == nil {
				defer w.Close()
				os.Stdin = r
			}
			return sdk.Main((&tiny{stores: map[string]*store{}}).driver("lifeless"))
		}},
	)
}

var account = map[string]string{"account": "kit"}

// sink is a driver that cannot read, and has no options.
func sink() sdk.Driver[struct{}] {
	return sdk.Driver[struct{}]{
		Name: "sink", Version: "1.0.0",
		Open: func(context.Context, logdriver.Info, *struct{}) (logdriver.Logger, error) { return discard{}, nil },
	}
}

// greedy is a driver with an option that it never gets.
func greedy() sdk.Driver[greedyOptions] {
	return sdk.Driver[greedyOptions]{
		Name: "greedy", Version: "1.0.0",
		Open: func(context.Context, logdriver.Info, *greedyOptions) (logdriver.Logger, error) { return discard{}, nil },
	}
}

type greedyOptions struct {
	Mode string `logplug:"mode" help:"is the host's"`
}

type discard struct{}

func (discard) Log(m *logdriver.Message) error {
	logdriver.PutMessage(m)
	return nil
}
func (discard) Name() string { return "sink" }
func (discard) Close() error { return nil }

// What rules get on a machine that is busy, with the race detector too.
const (
	busyWait    = time.Minute
	busyTimeout = 5 * time.Minute
)

// TestConformance is what a third party's test looks like.
func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	drivertest.Run(t, drivertest.Self(t, "tiny"), drivertest.Options{
		Config: account,
		Sets:   []drivertest.OptionSet{{Name: "slow", Config: map[string]string{"speed": "slow"}}},
		Wait:   busyWait, Timeout: busyTimeout,
	})
}

// TestLoggingOnly skips what needs reading, by name.
func TestLoggingOnly(t *testing.T) {
	results, err := drivertest.Check(t.Context(), drivertest.Self(t, "sink"), drivertest.Options{Wait: busyWait, Timeout: busyTimeout})
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, r := range results {
		reads := r.Rule.Needs&drivertest.NeedReads != 0
		switch {
		case r.Status == drivertest.Fail:
			t.Error(r.String())
		case reads && (r.Status != drivertest.Skip || r.Reason == ""):
			t.Errorf("%s needs reading: %s", r.Rule.ID, r.String())
		case r.Status == drivertest.Pass:
			passed++
		}
	}
	if passed < 15 {
		t.Errorf("only %d rules were checked", passed)
	}
}

// mutant is a driver that breaks a rule.
type mutant struct {
	driver string
	rule   string
	found  string // what its failure must say
	all    bool   // all rules are checked: no other one may fail
}

// hang is the Wait for mutants that never end something, which shows in what is found.
// All others fail at once.
const hang = 30 * time.Second

var mutants = []mutant{
	{"misnamed", "describe/name", `Describe says "another", the file's name says "misnamed"`, true},
	{"undescribed", "describe/command", `the command says {"name":"undescribed","version":"9"`, true},
	{"greedy", "describe/reserved", `option "mode" is the host's`, false},
	{"silent", "process/by-hand", "it exited with code 0", false},
	{"chatty", "process/stdout", `the first line on stdout is no handshake: "starting up"`, false},
	{"lifeless", "process/stdin", "the process still runs after 30s", false},
	{"tiny", "line/bytes", `message 1 (of 38 read, want 38) is "\x00\x01`, true},
	{"tiny", "line/empty", `message 1 (of 2 read, want 6) is "before\n", want "\n"`, true},
	{"tiny", "line/terminator", `message 2, "[part 1 of a]\n", is a part with last=false`, false},
	{"tiny", "line/partial", `source stdout: read 110 bytes, want 110`, false},
	{"tiny", "line/unterminated", `they are " the end\n", want " the end"`, false},
	{"tiny", "line/source", `message 2 has the source "stdout", was logged with "stderr"`, false},
	{"tiny", "line/attributes", `message 2: attribute "level" is "" (present: false)`, true},
	{"tiny", "line/time", " has the time ", true},
	{"tiny", "close/delivers", `the first that is missing is "message 0`, false},
	{"tiny", "close/reopen", `is "message 000020\n", want "message 000000\n"`, false},
	{"tiny", "tail/fewer", `message 1 (of 9 read, want 8) is "message 000015\n"`, false},
	{"tiny", "since/inclusive", `message 1 (of 12 read, want 13) is "message 000008\n"`, false},
	{"tiny", "since/backwards", `message 2 (of 2 read, want 4) is "message 000004\n"`, true},
	{"tiny", "until/first", `the first that is too much is "message 000003\n"`, false},
	{"tiny", "follow/tail", `with tail 0: message 1 (of 60 read, want 30) is "message 000000\n"`, false},
	{"tiny", "follow/until", `read 7 messages, want 6: the first that is too much is "message 000006\n"`, false},
	{"tiny", "follow/until-clock", "after 3 messages neither another one nor the end within 30s", false},
	{"tiny", "follow/close", "nobody writes this log any more", false},
	{"tiny", "reader/slow", "the slow reader: the reading ended after ", false},
	{"tiny", "logger/many", "want 50", false},
	{"tiny", "logger/busy", "read 0 messages, want 20", false},
	{"tiny", "options/secret", `option "token": its value is in the driver's log`, true},
	{"tiny", "delivery/acknowledged", "read 0 messages, want 200", false},
	{"tiny", "delivery/last-seq", "it is 99, while 100 messages were sent and acknowledged", false},
	{"tiny", "process/stdout", `it printed "logged a message`, false},
}

// TestMutants breaks one rule at a time and wants that rule to notice, for the
// right reason and, where the others do not depend on it, alone, which -short leaves out.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		m.all = m.all && !testing.Short()
		t.Run(m.driver+"/"+m.rule, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			opts := drivertest.Options{Wait: time.Minute, Timeout: 5 * time.Minute}
			if strings.HasSuffix(m.found, hang.String()) {
				opts.Wait = hang
			}
			if !m.all {
				opts.Only = []string{m.rule}
			}
			if m.driver != "greedy" {
				opts.Config = map[string]string{"account": "kit"}
			}
			if m.driver == "tiny" {
				opts.Config["break"] = m.rule
			}
			results, err := drivertest.Check(t.Context(), drivertest.Self(t, m.driver), opts)
			if err != nil {
				t.Fatal(err)
			}
			m.check(t, results)
		})
	}
}

func (m mutant) check(t *testing.T, results []drivertest.Result) {
	noticed := false
	for _, r := range results {
		switch text := r.String(); {
		case r.Rule.ID != m.rule && r.Status == drivertest.Fail:
			t.Errorf("a rule that is kept: %s", text)
		case r.Rule.ID != m.rule:
		case r.Status != drivertest.Fail:
			t.Errorf("the broken rule was not noticed: %s", text)
		case !strings.Contains(text, r.Rule.Text) || !strings.Contains(text, m.rule):
			t.Errorf("the failure does not quote the rule: %s", text)
		case !strings.Contains(r.Err.Error(), m.found):
			t.Errorf("the failure is not the one to expect, %q: %s", m.found, text)
		default:
			noticed = true
		}
	}
	if !noticed || m.all != (len(results) == len(drivertest.Rules())) {
		t.Errorf("%d rules were checked; the broken one was noticed: %t", len(results), noticed)
	}
}

// TestSlowDriver wants a driver that takes long to begin a reading to pass.
func TestSlowDriver(t *testing.T) {
	drivertest.Run(t, drivertest.Self(t, "tiny"), drivertest.Options{
		Config: map[string]string{"account": "kit", "break": "late"}, Only: []string{"follow/until-clock"},
		Wait: busyWait, Timeout: busyTimeout,
	})
}

func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range drivertest.Rules() {
		if seen[r.ID] || strings.Count(r.ID, "/") != 1 || !strings.HasSuffix(r.Text, ".") {
			t.Errorf("rule %q: %q", r.ID, r.Text)
		}
		seen[r.ID] = true
	}
}

func TestOptions(t *testing.T) {
	for name, opts := range map[string]drivertest.Options{
		"unknown rule to skip":    {Skip: map[string]string{"tail/nonsense": "because"}},
		"unknown rule to check":   {Only: []string{"nonsense/*"}},
		"option set without name": {Sets: []drivertest.OptionSet{{}}},
		"two sets of one name":    {Sets: []drivertest.OptionSet{{Name: "a"}, {Name: "a"}}},
	} {
		if _, err := drivertest.Check(t.Context(), drivertest.Self(t, "sink"), opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSkip(t *testing.T) {
	results, err := drivertest.Check(t.Context(), drivertest.Self(t, "tiny"), drivertest.Options{
		Config: map[string]string{"account": "kit", "break": "line/bytes"},
		Only:   []string{"line/bytes", "describe/name"}, Skip: map[string]string{"line/*": "it is text"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 || results[0].Status != drivertest.Pass || results[1].Reason != "it is text" {
		t.Errorf("got %v", results)
	}
}

func TestNoDriver(t *testing.T) {
	dir := t.TempDir()
	text := dir + "/logplug-driver-text"
	if err := os.WriteFile(text, []byte("not a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, dir + "/something", dir + "/logplug-driver-missing", dir + "/logplug-driver-BAD"} {
		_, err := drivertest.Check(t.Context(), path, drivertest.Options{})
		if err == nil {
			t.Errorf("%s: no error", path)
		}
		t.Log(err)
	}
}

// TestEnd stops checking when the context ends.
func TestEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	results, err := drivertest.Check(ctx, drivertest.Self(t, "sink"), drivertest.Options{
		Report: func(drivertest.Result) { cancel() },
	})
	if len(results) != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %d results and the error %v", len(results), err)
	}
}
