package host

import (
	"os"
	"slices"
	"strings"
)

// driverEnv returns the environment of a driver's process: what defaultEnv and
// allow let through of environ, and the variables that allow sets. See
// Config.Env for the form of allow.
func driverEnv(environ, allow []string) []string {
	var env []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(defaultEnv, name) || slices.ContainsFunc(allow, func(a string) bool { return allows(a, name) }) {
			env = append(env, kv)
		}
	}
	for _, a := range allow {
		if strings.Contains(a, "=") {
			env = append(env, a)
		}
	}
	return env
}

func allows(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok && !strings.Contains(pattern, "=") {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

func (c *Config) driverEnv() []string { return driverEnv(os.Environ(), c.Env) }
