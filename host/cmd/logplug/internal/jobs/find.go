package jobs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/agext/levenshtein"
)

// UnknownError reports a job that is not there, or not the only one.
type UnknownError struct {
	// Ref is what was asked for.
	Ref string
	// Nearest is the id that resembles it most, or empty.
	Nearest string
	// Matches lists the ids that Ref could mean, where there are several.
	Matches []string
}

// shownMatches is how many ids an error's text lists.
const shownMatches = 8

func (e *UnknownError) Error() string {
	switch {
	case len(e.Matches) > shownMatches:
		return fmt.Sprintf("job %q is ambiguous: %s and %d more begin like it", e.Ref,
			strings.Join(e.Matches[:shownMatches], ", "), len(e.Matches)-shownMatches)
	case len(e.Matches) > 0:
		return fmt.Sprintf("job %q is ambiguous: %s", e.Ref, strings.Join(e.Matches, ", "))
	case e.Nearest != "":
		return fmt.Sprintf("no job %q; did you mean %q?", e.Ref, e.Nearest)
	default:
		return fmt.Sprintf("no job %q; logplug ls shows all", e.Ref)
	}
}

// Find returns the job that ref means: an id, the beginning of just one id, or
// the name of just one job.
func (s *Store) Find(ref string) (*Job, error) {
	j, err := s.Get(ref)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return j, err
	}
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	matches := withPrefix(ids, ref)
	if len(matches) == 0 {
		matches = s.named(ref)
	}
	if len(matches) == 1 {
		return s.Get(matches[0])
	}
	return nil, &UnknownError{Ref: ref, Matches: matches, Nearest: nearest(ref, ids)}
}

func withPrefix(ids []string, prefix string) (matches []string) {
	if prefix == "" {
		return nil
	}
	for _, id := range ids {
		if strings.HasPrefix(id, prefix) {
			matches = append(matches, id)
		}
	}
	return matches
}

func (s *Store) named(name string) (ids []string) {
	list, _ := s.List() // records that cannot be read have no name
	for _, j := range list {
		if name != "" && j.Info.Name() == name {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

// nearest returns the id that a user who wrote ref may have meant.
func nearest(ref string, ids []string) string {
	best, bestScore := "", 0.5
	for _, id := range ids {
		if score := levenshtein.Similarity(ref, id, nil); score > bestScore {
			best, bestScore = id, score
		}
	}
	return best
}
