package discover

import (
	"fmt"
	"os"
	"strings"
)

// mergeSame leaves out a usable file under a name that it was found with before.
func mergeSame(all []found) []found {
	first := map[string][]found{}
	kept := all[:0]
	for _, f := range all {
		if f.Skipped == "" {
			if sameAsAny(first[f.Name], f) {
				continue
			}
			first[f.Name] = append(first[f.Name], f)
		}
		kept = append(kept, f)
	}
	return kept
}

func sameAsAny(others []found, f found) bool {
	for _, o := range others {
		if os.SameFile(o.file, f.file) {
			return true
		}
	}
	return false
}

// refuseClashes refuses all usable candidates that share their name with
// another one: which of them is meant cannot be known.
func refuseClashes(all []found) {
	paths := map[string][]string{}
	for _, f := range all {
		if f.Skipped == "" {
			paths[f.Name] = append(paths[f.Name], f.Path)
		}
	}
	for i := range all {
		f := &all[i]
		if f.Skipped != "" || len(paths[f.Name]) < 2 {
			continue
		}
		var others []string
		for _, p := range paths[f.Name] {
			if p != f.Path {
				others = append(others, p)
			}
		}
		f.Skipped = fmt.Sprintf("there is another driver %s: %s; remove all but one", f.Name, strings.Join(others, ", "))
	}
}
