// Package redact keeps secret values out of the texts that leave a driver.
package redact

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/logplug/logplug/shared/logdriver"
)

// Mask stands in texts where a secret value was.
const Mask = "[redacted]"

// retiredSecrets is how many secrets are remembered after their last logger was
// closed, for what still logs in the background.
const retiredSecrets = 256

// Set holds the secrets of a process. The zero value is ready; a nil Set
// holds none. It is safe for concurrent use.
type Set struct {
	replacer atomic.Pointer[strings.Replacer] // nil while there are no secrets

	mu      sync.Mutex
	uses    map[string]int // 0 for those in retired
	retired []string       // oldest first
}

// Add hides secrets until release is called, and some time beyond. Empty ones are
// left out.
func (s *Set) Add(secrets []string) (release func()) {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(v string) bool { return v == "" })
	if s == nil || len(secrets) == 0 {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for _, v := range secrets {
		if s.uses == nil {
			s.uses = make(map[string]int)
		}
		n, known := s.uses[v]
		s.uses[v] = n + 1
		changed = changed || !known
		if known && n == 0 {
			s.retired = slices.DeleteFunc(s.retired, func(r string) bool { return r == v })
		}
	}
	if changed {
		s.rebuild()
	}
	return sync.OnceFunc(func() { s.release(secrets) })
}

func (s *Set) release(secrets []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range secrets {
		s.uses[v]--
		if s.uses[v] == 0 {
			s.retired = append(s.retired, v)
		}
	}
	if len(s.retired) <= retiredSecrets {
		return
	}
	n := len(s.retired) - retiredSecrets
	for _, v := range s.retired[:n] {
		delete(s.uses, v)
	}
	s.retired = slices.Delete(s.retired, 0, n)
	s.rebuild()
}

func (s *Set) rebuild() {
	seen := make(map[string]bool)
	var forms []string
	for v := range s.uses {
		for _, f := range spellings(v) {
			if !seen[f] {
				seen[f] = true
				forms = append(forms, f)
			}
		}
	}
	// The longest first: a secret may begin with another one.
	slices.SortFunc(forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range forms {
		pairs = append(pairs, f, Mask)
	}
	s.replacer.Store(strings.NewReplacer(pairs...))
}

// spellings returns the forms in which errors of libraries show a value: as it
// is, quoted, in a URL and in JSON.
func spellings(v string) []string {
	quoted := strconv.Quote(v)
	forms := []string{v, quoted[1 : len(quoted)-1], url.QueryEscape(v), url.PathEscape(v)}
	if b, err := json.Marshal(v); err == nil {
		forms = append(forms, string(b[1:len(b)-1]))
	}
	return forms
}

// Text returns text with every secret masked.
func (s *Set) Text(text string) string {
	if s == nil {
		return text
	}
	r := s.replacer.Load()
	if r == nil {
		return text
	}
	return r.Replace(text)
}

// Error returns an error with the identity of err whose text, and the fields of
// a logdriver.OptionError in it, have every secret masked; nil stays nil.
func (s *Set) Error(err error) error {
	if err == nil || s == nil || s.replacer.Load() == nil {
		return err
	}
	var opt *logdriver.OptionError
	if errors.As(err, &opt) {
		masked := *opt
		masked.Option, masked.Reason = s.Text(opt.Option), s.Text(opt.Reason)
		if err == error(opt) {
			return &masked
		}
		return &maskedError{s.Text(err.Error()), &masked}
	}
	text := err.Error()
	if masked := s.Text(text); masked != text {
		return &maskedError{masked, err}
	}
	return err
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }
