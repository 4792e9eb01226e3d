package wire

import (
	"regexp"
	"strings"
	"testing"
)

func TestValidName(t *testing.T) {
	pattern := regexp.MustCompile("^" + NamePattern + "$")
	for _, name := range []string{"", "a", "a-1", "-", "A", "a_b", "a.b", "a/b", "é", "a ", "a\n", "a\x00", strings.Repeat("a", MaxNameBytes)} {
		if want := pattern.MatchString(name); ValidName(name) != want {
			t.Errorf("ValidName(%q) = %v", name, !want)
		}
	}
	if ValidName(strings.Repeat("a", MaxNameBytes+1)) {
		t.Error("a name that is too long is valid")
	}
}
