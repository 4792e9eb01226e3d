package sdk

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/logplug/logplug/shared/logdriver"
)

// Attributes adds the options "labels", "labels-regex", "env" and "env-regex" to a
// struct that embeds it: they choose which facts about a source of logs
// accompany its messages.
type Attributes struct {
	Labels      []string       `logplug:"labels" help:"Labels to add to messages, separated by commas"`
	LabelsRegex *regexp.Regexp `logplug:"labels-regex" help:"Labels to add to messages: those whose names match"`
	Env         []string       `logplug:"env" help:"Environment variables to add to messages, separated by commas"`
	EnvRegex    *regexp.Regexp `logplug:"env-regex" help:"Environment variables to add to messages: those whose names match"`
}

// Extra returns the chosen attributes of info, sorted by key. Where several
// options choose the same key, the last of labels, labels-regex, env and
// env-regex has it.
func (a *Attributes) Extra(info *logdriver.Info) []logdriver.Attr {
	chosen := make(map[string]string)
	choose(chosen, info.ContainerLabels, a.Labels, a.LabelsRegex)
	if len(a.Env) > 0 || a.EnvRegex != nil {
		choose(chosen, envMap(info.ContainerEnv), a.Env, a.EnvRegex)
	}
	if len(chosen) == 0 {
		return nil
	}
	attrs := make([]logdriver.Attr, 0, len(chosen))
	for _, k := range slices.Sorted(maps.Keys(chosen)) {
		attrs = append(attrs, logdriver.Attr{Key: k, Value: chosen[k]})
	}
	return attrs
}

func choose(into, from map[string]string, names []string, re *regexp.Regexp) {
	for _, name := range names {
		if v, ok := from[name]; ok {
			into[name] = v
		}
	}
	if re == nil {
		return
	}
	for name, v := range from {
		if re.MatchString(name) {
			into[name] = v
		}
	}
}

func envMap(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	return m
}
