// Package when reads points in time as users of container logs write them.
package when

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// layouts are RFC 3339 and what is left of it when parts are missing. Fractions
// of a second are accepted after the seconds of each.
var layouts = []string{
	time.RFC3339,
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15Z07:00",
	"2006-01-02Z07:00",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04",
	"2006-01-02T15",
	"2006-01-02",
}

var unixSeconds = regexp.MustCompile(`^(-?)([0-9]{1,18})(?:\.([0-9]{1,9}))?$`)

// Parse reads text as one of:
//   - RFC 3339, of which the zone, and from the end on the seconds, the minutes and
//     the hours, may be missing: 2006-01-02T15:04:05Z, 2006-01-02T15:04. A time
//     without a zone is one in now's location;
//   - seconds since 1970-01-01 UTC, with a fraction of up to nine digits: 1136073845.5;
//   - a duration as time.ParseDuration takes it, before now: 10m, 1h30m.
//
// The result lies in the years 1678 to 2261, which is what nanoseconds in 64
// bits can express.
func Parse(text string, now time.Time) (time.Time, error) {
	t, ok := parse(text, now)
	if !ok {
		return time.Time{}, fmt.Errorf("time %q: want RFC 3339 (2006-01-02T15:04:05Z, 2006-01-02), seconds since 1970 (1136073845.5), or a duration before now (10m)", text)
	}
	if t.Before(earliest) || t.After(latest) {
		return time.Time{}, fmt.Errorf("time %q: want a year from 1678 to 2261", text)
	}
	return t, nil
}

var (
	earliest = time.Unix(0, math.MinInt64)
	latest   = time.Unix(0, math.MaxInt64)
)

func parse(text string, now time.Time) (time.Time, bool) {
	if t, ok := parseUnix(text); ok {
		return t, true
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), true
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func parseUnix(text string) (time.Time, bool) {
	m := unixSeconds.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	const fractionDigits = 9
	sec, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	nsec, err := strconv.ParseInt(m[3]+strings.Repeat("0", fractionDigits-len(m[3])), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	if m[1] == "-" {
		sec, nsec = -sec, -nsec
	}
	return time.Unix(sec, nsec), true
}
