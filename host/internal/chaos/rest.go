//go:build linux

package main

import "fmt"

const (
	// restRounds is how many rounds it takes to tell a leak.
	restRounds = 6
	// restSlack is by how much what a host uses at rest may differ.
	restSlack = 8
)

// leaks returns of what a host that lives on keeps some for each restart of a driver,
// judging by samples of it at rest: any of the last third against any of the first.
func leaks(rested []sample) (problems []string) {
	if len(rested) < restRounds {
		return nil
	}
	third := len(rested) / 3
	early, late := rested[:third], rested[len(rested)-third:]
	restarts := int(late[0].Restarts - early[third-1].Restarts)
	for _, m := range []struct {
		what string
		of   func(sample) int
	}{
		{"goroutines", func(s sample) int { return s.Goroutines }},
		{"open files", func(s sample) int { return s.Files }},
	} {
		most, least := m.of(early[0]), m.of(late[0])
		for i := range third {
			most, least = max(most, m.of(early[i])), min(least, m.of(late[i]))
		}
		if least-most > restSlack+restarts/2 {
			problems = append(problems, fmt.Sprintf("at rest, the host that lives on grew from %d to %d %s in %d restarts of drivers",
				most, least, m.what, restarts))
		}
	}
	return problems
}
