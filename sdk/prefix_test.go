package sdk

import (
	"errors"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

type shared struct {
	Cert  string `logplug:"cert"`
	Count int    `logplug:"count" default:"3"`
}

type prefixed struct {
	First  shared `logplug:"first-,prefix"`
	Second shared `logplug:"second-,prefix"`
	shared
}

// A struct of options may be used several times, with prefixes.
func TestOptionsWithPrefix(t *testing.T) {
	o, err := nothing[prefixed]().Options(map[string]string{"first-cert": "a", "second-count": "7", "cert": "b"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (prefixed{First: shared{"a", 3}, Second: shared{"", 7}, shared: shared{"b", 3}}); *o != want {
		t.Errorf("got %+v, not %+v", *o, want)
	}
	_, err = nothing[prefixed]().Options(map[string]string{"second-count": "x"})
	var opt *logdriver.OptionError
	if !errors.As(err, &opt) || opt.Option != "second-count" {
		t.Errorf("a wrong value: %v", err)
	}
}
