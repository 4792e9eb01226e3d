package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible makes text that a user wrote, a command for one, fit for one line of a
// table: white space becomes single spaces, and what cannot be printed is escaped
// as in Go. What is longer than limit characters is cut, unless limit is 0.
func visible(text string, limit int) string {
	var b strings.Builder
	characters, space := 0, false
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		shown := escaped(r, text[:size])
		text = text[size:]
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if space {
			shown, space = " "+shown, false
		}
		if characters += utf8.RuneCountInString(shown); limit > 0 && characters > limit {
			return cut(b.String(), limit)
		}
		b.WriteString(shown)
	}
	return b.String()
}

// escaped returns a character as it is shown. raw is its encoding.
func escaped(r rune, raw string) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x%02x`, raw[0])
	case strconv.IsPrint(r):
		return raw
	}
	quoted := strconv.QuoteRune(r)
	return quoted[1 : len(quoted)-1]
}

// cut returns text with a mark that something is missing, in at most limit
// characters.
func cut(text string, limit int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), limit-1)]) + "…"
}

// shorten cuts text, valid UTF-8, that has more than limit characters.
func shorten(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return cut(text, limit)
}
