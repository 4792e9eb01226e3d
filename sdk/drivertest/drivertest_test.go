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

// TestConformance is what a third party's test looks like.
func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	drivertest.Run(t, drivertest.Self(t, "tiny"), drivertest.Options{
		Config: account,
		Sets:   []drivertest.OptionSet{{Name: "slow", Config: map[string]string{"speed": "slow"}}},
	})
}

// TestLoggingOnly skips what needs reading, by name.
func TestLoggingOnly(t *testing.T) {
	results, err := drivertest.Check(t.Context(), drivertest.Self(t, "sink"), drivertest.Options{})
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

// TestMutants breaks one rule at a time and wants that rule to notice.
func TestMutants(t *testing.T) {
	type mutant struct{ driver, rule string }
	mutants := []mutant{
		{"misnamed", "describe/name"},
		{"undescribed", "describe/command"},
		{"greedy", "describe/reserved"},
		{"silent", "process/by-hand"},
		{"chatty", "process/stdout"},
		{"lifeless", "process/stdin"},
	}
	for _, rule := range []string{
		"line/bytes", "line/empty", "line/terminator", "line/partial", "line/unterminated", "line/source",
		"line/attributes", "line/time", "close/delivers", "close/reopen", "tail/fewer", "since/inclusive",
		"since/backwards", "until/first", "follow/tail", "follow/until", "follow/until-clock", "follow/close",
		"reader/slow", "logger/many", "options/secret", "delivery/acknowledged", "delivery/last-seq", "process/stdout",
	} {
		mutants = append(mutants, mutant{"tiny", rule})
	}
	for _, m := range mutants {
		t.Run(m.driver+"/"+m.rule, func(t *testing.T) {
			config := map[string]string{"account": "kit"}
			if m.driver == "tiny" {
				config["break"] = m.rule
			}
			results, err := drivertest.Check(t.Context(), drivertest.Self(t, m.driver), drivertest.Options{
				Config: config, Only: []string{m.rule}, Wait: 2 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != 1 || results[0].Status != drivertest.Fail {
				t.Fatalf("the broken rule was not noticed: %v", results)
			}
			r := results[0]
			if text := r.String(); !strings.Contains(text, r.Rule.Text) || !strings.Contains(text, m.rule) {
				t.Errorf("the failure does not quote the rule: %s", text)
			}
			t.Log(r.Err)
		})
	}
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
		_, err := drivertest.Check(t.Context(), path, drivertest.Options{Wait: 5 * time.Second})
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
