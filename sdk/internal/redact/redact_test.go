package redact

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

func TestText(t *testing.T) {
	var s Set
	release := s.Add([]string{"se cret/1", "", "se cret/1-and-more", `q"x`})
	for _, text := range []string{
		"token se cret/1 refused",
		"token se cret/1-and-more refused",
		`open "https://h/?t=se+cret%2F1": no`,
		`open "https://h/se%20cret%2F1": no`,
		`value "q\"x"`,
	} {
		got := s.Text(text)
		if !strings.Contains(got, Mask) || strings.Contains(got, "cret") || strings.Contains(got, "more") || strings.Contains(got, `q\`) {
			t.Errorf("Text(%q) = %q", text, got)
		}
	}
	release()
	release()
	if got := s.Text("se cret/1"); got != Mask {
		t.Errorf("forgotten right after its release: %q", got)
	}
}

func TestRetiredSecretsAreBounded(t *testing.T) {
	var s Set
	keep := s.Add([]string{"kept"})
	defer keep()
	for i := range 2 * retiredSecrets {
		s.Add([]string{fmt.Sprintf("secret-%04d!", i)})()
	}
	if len(s.uses) != retiredSecrets+1 {
		t.Errorf("%d secrets are remembered", len(s.uses))
	}
	if s.Text("kept") != Mask || s.Text(fmt.Sprintf("secret-%04d!", 2*retiredSecrets-1)) != Mask {
		t.Error("a secret in use or of late was forgotten")
	}
}

func TestErrorKeepsIdentity(t *testing.T) {
	var s Set
	defer s.Add([]string{"hunter2"})()
	err := s.Error(fmt.Errorf("login with hunter2: %w", logdriver.ErrLogBusy))
	if !errors.Is(err, logdriver.ErrLogBusy) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	for _, in := range []error{
		&logdriver.OptionError{Option: "token", Reason: "hunter2 is wrong"},
		fmt.Errorf("open: %w", &logdriver.OptionError{Option: "token", Reason: "hunter2 is wrong"}),
	} {
		err := s.Error(in)
		var opt *logdriver.OptionError
		if !errors.As(err, &opt) || strings.Contains(opt.Reason+err.Error(), "hunter2") {
			t.Errorf("%v gave %v", in, err)
		}
	}
	if s.Error(nil) != nil {
		t.Error("nil became an error")
	}
	var none *Set
	if none.Text("x") != "x" || none.Error(err) != err {
		t.Error("a nil set changes texts")
	}
	none.Add([]string{"x"})()
}
