package logfile

import "github.com/logplug/logplug/shared/logdriver"

// maxSources is how many sources are kept to be reused.
const maxSources = 16

// Sources makes strings of the sources of messages for a Decoder, without an
// allocation for those that it has seen. Its zero value is ready.
type Sources struct{ seen []string }

// String returns b as a string.
func (s *Sources) String(b []byte) string {
	for _, known := range s.seen {
		if known == string(b) {
			return known
		}
	}
	text := string(b)
	if len(s.seen) < maxSources && len(text) <= logdriver.MaxSourceBytes {
		s.seen = append(s.seen, text)
	}
	return text
}
