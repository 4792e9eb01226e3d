package host

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/logplug/logplug/shared/logdriver"
)

// splitInto returns what a splitter makes of writes.
func splitInto(size int, writes ...[]byte) []logdriver.Message {
	c := &collector{bufSize: size}
	s := newSplitter(c, "stdout", func(m *logdriver.Message) { _ = c.Log(m) })
	for i, w := range writes {
		s.write(w, time.Unix(int64(i), 0))
	}
	s.finish()
	return c.messages()
}

func allBytes() string {
	var b []byte
	for i := range 256 {
		if i != '\n' {
			b = append(b, byte(i))
		}
	}
	return string(b)
}

func TestSplitterPieces(t *testing.T) {
	big := 1000
	for _, tc := range []struct {
		name, in string
		size     int
		want     []piece
	}{
		{"empty", "", 4, nil},
		{"one line", "abc\n", 4, []piece{{Line: "abc"}}},
		{"empty lines", "\n\n", 4, []piece{{}, {}}},
		{"no final newline", "ab\ncd", 4, []piece{{Line: "ab"}, {Line: "cd", Unterminated: true}}},
		{"only CR", "\r", 4, []piece{{Line: "\r", Unterminated: true}}},
		{"CRLF is kept", "a\r\nb\r\n", 4, []piece{{Line: "a\r"}, {Line: "b\r"}}},
		{"NUL", "\x00\n\x00\x00\n", 4, []piece{{Line: "\x00"}, {Line: "\x00\x00"}}},
		{"all bytes", allBytes() + "\n", big, []piece{{Line: allBytes()}}},
		{"exactly the size", "abcd\n", 4, []piece{{Line: "abcd"}}},
		{"exactly the size at EOF", "abcd", 4, []piece{{Line: "abcd", Unterminated: true}}},
		{"one more", "abcde\nx\n", 4, []piece{{"abcd", 1, false, false}, {"e", 2, true, false}, {Line: "x"}}},
		{"twice the size", "abcdefgh\n", 4, []piece{{"abcd", 1, false, false}, {"efgh", 2, true, false}}},
		{"twice the size at EOF", "abcdefgh", 4, []piece{{"abcd", 1, false, false}, {"efgh", 2, true, true}}},
		{"EOF inside a part", "abcdefghi", 4, []piece{{"abcd", 1, false, false}, {"efgh", 2, false, false}, {"i", 3, true, true}}},
		{"size 1", "ab\n\nc", 1, []piece{{"a", 1, false, false}, {"b", 2, true, false}, {}, {Line: "c", Unterminated: true}}},
		{"two long lines", "abcde\nfghij\n", 4, []piece{
			{"abcd", 1, false, false}, {"e", 2, true, false}, {"fghi", 1, false, false}, {"j", 2, true, false}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			whole := splitInto(tc.size, []byte(tc.in))
			diff(t, "in one write", pieces(whole), tc.want)
			checkParts(t, whole, tc.size)
			single := splitInto(tc.size, bytes.SplitAfter([]byte(tc.in), nil)...)
			diff(t, "byte by byte", pieces(single), tc.want)
			checkParts(t, single, tc.size)
		})
	}
}

// The bytes come back whatever they are and however they were cut up, and the
// cuts have no influence on the messages.
func TestSplitterGivesBackEveryByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 12).Draw(t, "size")
		in := rapid.SliceOf(rapid.SampledFrom([]byte("\n\nab\r\x00\xff"))).Draw(t, "in")
		var writes [][]byte
		for rest := in; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			writes, rest = append(writes, rest[:n]), rest[n:]
		}
		msgs := splitInto(size, writes...)
		if got := joined(msgs); !bytes.Equal(got, in) {
			t.Fatalf("got %q back for %q", got, in)
		}
		checkParts(t, msgs, size)
		if got, want := pieces(msgs), pieces(splitInto(size, in)); !equalPieces(got, want) {
			t.Fatalf("cut up: %v\nin one write: %v", got, want)
		}
	})
}

func equalPieces(a, b []piece) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("abc\n\ndefghi"), uint8(4), uint8(3))
	f.Add([]byte("abcdabcd"), uint8(4), uint8(8))
	f.Fuzz(func(t *testing.T, in []byte, size, step uint8) {
		n := int(size)%64 + 1
		var writes [][]byte
		for rest := in; len(rest) > 0; {
			cut := min(int(step)+1, len(rest))
			writes, rest = append(writes, rest[:cut]), rest[cut:]
		}
		msgs := splitInto(n, writes...)
		if got := joined(msgs); !bytes.Equal(got, in) {
			t.Fatalf("got %q back for %q", got, in)
		}
		checkParts(t, msgs, n)
	})
}

func TestSplitterTimes(t *testing.T) {
	msgs := splitInto(4, []byte("a\nb\nlong line"), []byte("s\nc\n"))
	at := func(sec, ns int64) time.Time { return time.Unix(sec, ns) }
	want := []time.Time{at(0, 0), at(0, 1), at(0, 2), at(0, 2), at(0, 2), at(1, 0)}
	if len(msgs) != len(want) {
		t.Fatalf("got %d messages, want %d", len(msgs), len(want))
	}
	for i, m := range msgs {
		if !m.Timestamp.Equal(want[i]) {
			t.Errorf("message %d (%q) has time %v, want %v", i, m.Line, m.Timestamp, want[i])
		}
	}
}

func TestSplitterKeepsNoReference(t *testing.T) {
	c := &collector{bufSize: 8}
	s := newSplitter(c, "stdout", func(m *logdriver.Message) { _ = c.Log(m) })
	buf := []byte("abc")
	s.write(buf, time.Now())
	copy(buf, "xyz")
	s.write([]byte("\n"), time.Now())
	diff(t, "messages", pieces(c.messages()), []piece{{Line: "abc"}})
}

func TestLineSize(t *testing.T) {
	for bufSize, want := range map[int]int{
		-1: logdriver.DefaultBufSize, 0: logdriver.DefaultBufSize, 1: 1, 4096: 4096,
		logdriver.MaxLineBytes + 1: logdriver.MaxLineBytes,
	} {
		if got := lineSize(&collector{bufSize: bufSize}); got != want {
			t.Errorf("BufSize %d: lines of %d bytes, want %d", bufSize, got, want)
		}
	}
	if got := lineSize(struct{ logdriver.Logger }{}); got != logdriver.DefaultBufSize {
		t.Errorf("without BufSize: lines of %d bytes, want %d", got, logdriver.DefaultBufSize)
	}
}

func TestValidSource(t *testing.T) {
	for _, name := range []string{"stdout", "", "\xff", strings.Repeat("é", 200), "a" + strings.Repeat("é", 200)} {
		got := validSource(name)
		if !utf8.ValidString(got) || len(got) > logdriver.MaxSourceBytes || len(got) < min(len(name), logdriver.MaxSourceBytes-1) {
			t.Errorf("source %q became %q", name, got)
		}
	}
}
