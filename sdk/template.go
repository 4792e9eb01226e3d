package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"
)

// parseTemplate parses a template over a logdriver.Info.
func parseTemplate(name, text string) (*template.Template, error) {
	return template.New(name).Option("missingkey=zero").Funcs(template.FuncMap{
		"json":     toJSON,
		"split":    strings.Split,
		"join":     strings.Join,
		"title":    title,
		"lower":    strings.ToLower,
		"upper":    strings.ToUpper,
		"pad":      pad,
		"truncate": truncate,
	}).Parse(text)
}

// toJSON encodes v in one line, without escapes meant for HTML.
func toJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// title makes the first letter of each word upper case.
func title(s string) string {
	start := true
	return strings.Map(func(r rune) rune {
		first := start
		start = !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '\''
		if first {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// maxPad bounds what a template may ask for.
const maxPad = 1024

// pad puts spaces before and after s, unless s is empty.
func pad(s string, before, after int) (string, error) {
	if before < 0 || after < 0 || before > maxPad || after > maxPad {
		return "", fmt.Errorf("pad: %d and %d spaces, must be 0 to %d", before, after, maxPad)
	}
	if s == "" {
		return "", nil
	}
	return strings.Repeat(" ", before) + s + strings.Repeat(" ", after), nil
}

// truncate returns at most n bytes of s, and never a part of a character.
func truncate(s string, n int) (string, error) {
	if n < 0 {
		return "", fmt.Errorf("truncate: length %d is negative", n)
	}
	if len(s) <= n {
		return s, nil
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], nil
}
