package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	// maxFileBytes bounds a file of options or variables.
	maxFileBytes = 1 << 20
)

// parseOptions returns the options of files and of arguments, which win. Errors
// contain no value: it may be a secret, also where "=" was forgotten.
func parseOptions(args, files []string) (map[string]string, error) {
	opts := make(map[string]string)
	for _, path := range files {
		err := readLines(path, func(line string) error {
			name, value, ok := strings.Cut(line, "=")
			if name = strings.TrimSpace(name); !ok || name == "" {
				return errors.New("want NAME=VALUE")
			}
			opts[name] = value
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read options: %w", err)
		}
	}
	for i, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, &usageError{fmt.Errorf("--opt number %d: want NAME=VALUE", i+1)}
		}
		opts[name] = value
	}
	return opts, nil
}

// parseLabels returns labels; one without "=" has an empty value.
func parseLabels(args []string) (map[string]string, error) {
	labels := make(map[string]string, len(args))
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		if name == "" {
			return nil, &usageError{fmt.Errorf("--label %q: want NAME=VALUE", arg)}
		}
		labels[name] = value
	}
	return labels, nil
}

// parseEnv returns variables as "NAME=value", those of files first. A NAME alone is
// taken from environment lookup, and left out if it is not there.
func parseEnv(args, files []string, lookup func(string) (string, bool)) ([]string, error) {
	var env []string
	add := func(text string) error {
		name, _, ok := strings.Cut(text, "=")
		if name == "" {
			return errors.New("want NAME=VALUE or NAME")
		}
		if ok {
			env = append(env, text)
		} else if value, ok := lookup(name); ok {
			env = append(env, name+"="+value)
		}
		return nil
	}
	for _, path := range files {
		if err := readLines(path, add); err != nil {
			return nil, fmt.Errorf("read variables: %w", err)
		}
	}
	for i, arg := range args {
		if err := add(arg); err != nil {
			return nil, &usageError{fmt.Errorf("--env number %d: %w", i+1, err)}
		}
	}
	return env, nil
}

// readLines gives take each line of a file that is neither empty nor a comment.
func readLines(path string, take func(line string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	limited := &io.LimitedReader{R: f, N: maxFileBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxFileBytes)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := take(line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if limited.N == 0 {
		return fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	return nil
}
