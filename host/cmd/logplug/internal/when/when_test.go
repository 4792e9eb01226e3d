package when

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("here", 2*60*60)
	now := time.Date(2026, 3, 4, 5, 6, 7, 8, zone)
	utc := func(h, m, s, ns int) time.Time { return time.Date(2006, 1, 2, h, m, s, ns, time.UTC) }
	for text, want := range map[string]time.Time{
		"2006-01-02T15:04:05Z":           utc(15, 4, 5, 0),
		"2006-01-02T15:04:05.123456789Z": utc(15, 4, 5, 123456789),
		"2006-01-02T15:04:05+01:00":      utc(14, 4, 5, 0),
		"2006-01-02T15:04:05.5-01:00":    utc(16, 4, 5, 500_000_000),
		"2006-01-02T15:04Z":              utc(15, 4, 0, 0),
		"2006-01-02T15+01:00":            utc(14, 0, 0, 0),
		"2006-01-02Z":                    utc(0, 0, 0, 0),
		"2006-01-02T15:04:05":            utc(13, 4, 5, 0),
		"2006-01-02T15:04:05.25":         utc(13, 4, 5, 250_000_000),
		"2006-01-02T15:04":               utc(13, 4, 0, 0),
		"2006-01-02T15":                  utc(13, 0, 0, 0),
		"2006-01-02":                     utc(0, 0, 0, 0).Add(-2 * time.Hour),
		"1136073845":                     time.Unix(1136073845, 0),
		"1136073845.5":                   time.Unix(1136073845, 500_000_000),
		"1136073845.000000001":           time.Unix(1136073845, 1),
		"-1.5":                           time.Unix(-2, 500_000_000),
		"0":                              time.Unix(0, 0),
		"10m":                            now.Add(-10 * time.Minute),
		"1h30m":                          now.Add(-90 * time.Minute),
		"0s":                             now,
		"-10m":                           now.Add(10 * time.Minute),
	} {
		got, err := Parse(text, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("Parse(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "yesterday", "2006-13-01", "2006-01-02T25:00:00Z", "10 m", "1.0000000001", "1.", ".5", "1e9",
		"999999999999999999", "99999999999999999999", "3000-01-01", "0001-01-01",
	} {
		got, err := Parse(text, time.Now())
		if err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("Parse(%q): error %q does not name it", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"2006-01-02", "1136073845.5", "10m", "-1"} {
		f.Add(s)
	}
	now := time.Now()
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text, now)
		if err == nil && !time.Unix(0, got.UnixNano()).Equal(got) {
			t.Errorf("Parse(%q) = %v, which nanoseconds cannot express", text, got)
		}
	})
}
