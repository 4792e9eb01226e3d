package cli

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"sh -c \n\tfor i in 1; do\n\t\techo; done\n", 0, "sh -c for i in 1; do echo; done"},
		{"a\x1b[31m\x00b", 0, `a\x1b[31m\x00b`},
		{"\xff\xc3(", 0, `\xff\xc3(`},
		{"a\u202eb\u200b", 0, `a\u202eb\u200b`},
		{"äöü", 3, "äöü"},
		{"äöüß", 3, "äö…"},
		{"ab  ", 2, "ab"},
		{"ab c", 3, "ab…"},
		{"ab\x1bc", 4, "ab…"},
		{"日本語のテキスト", 4, "日本語…"},
		{"�", 0, "�"},
		{"", 5, ""},
	} {
		if got := visible(test.text, test.limit); got != test.want {
			t.Errorf("visible(%q, %d) = %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("sh\n\xff", 4)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		got := visible(text, limit)
		if !utf8.ValidString(got) || oneLine(got) != strings.TrimSpace(got) {
			t.Errorf("visible(%q) = %q is not fit for a line", text, got)
		}
		if limit > 0 && utf8.RuneCountInString(got) > limit {
			t.Errorf("visible(%q, %d) = %q is too long", text, limit, got)
		}
	})
}
