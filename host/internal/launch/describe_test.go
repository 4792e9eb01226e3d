//go:build unix

package launch

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	for _, tt := range []struct {
		rule, text string
		want       string // a part of the error; empty for none
	}{
		{"a description", `{"name":"test","version":"1.2","protocol":{"min":1,"max":2},"options":[{"name":"a","type":"string"}]}`, ""},
		{"from the future", `{"name":"test","protocol":{"min":1,"max":1},"options":null,"news":{"x":1}}` + "\n", ""},
		{"nothing", "", "no valid description"},
		{"text", "usage: foo [-x]", "no valid description"},
		{"no name", `{"protocol":{"min":1,"max":1}}`, `name ""`},
		{"a bad name", `{"name":"A/B","protocol":{"min":1,"max":1}}`, `name "A/B"`},
		{"no range", `{"name":"test","protocol":{"min":3,"max":1}}`, "3 to 1"},
		{"an option twice", `{"name":"test","protocol":{"min":1,"max":1},"options":[{"name":"a"},{"name":"a"}]}`, `"a"`},
		{"too long", `{"name":"` + strings.Repeat("x", 2*maxDescribeBytes) + `"}`, "more than 1048576 bytes"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			cfg, _ := program(t, "describe")
			if err := os.WriteFile(file(cfg), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := Describe(t.Context(), cfg)
			var not *NotDriverError
			switch {
			case tt.want == "" && (err != nil || d.Name != "test"):
				t.Errorf("Describe = %+v, %v", d, err)
			case tt.want != "" && (!errors.As(err, &not) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("err = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDescribeProgramsThatAreNoDrivers(t *testing.T) {
	for mode, want := range map[string]string{
		"exit3":   "exited with status 3",
		"endless": "more than 1048576 bytes",
		"sleeper": "did not end within",
		"text":    "no valid description",
	} {
		t.Run(mode, func(t *testing.T) {
			cfg, _ := program(t, mode)
			if mode == "sleeper" {
				cfg.StartTimeout = 500 * time.Millisecond
			}
			_, err := Describe(t.Context(), cfg)
			var not *NotDriverError
			if !errors.As(err, &not) || !strings.Contains(err.Error(), want) {
				t.Errorf("err = %v, want %q", err, want)
			}
		})
	}
}
