package containerd

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/shared/logdriver"
)

// Settings are the parameters of a log URI.
type Settings struct {
	// Driver is the name of the driver; empty for the default one.
	Driver string
	// Name is the name of the container, by default its id.
	Name string
	// Options and OptionFiles are those of the driver.
	Options     map[string]string
	OptionFiles []string
	Labels      map[string]string
	// StateDir and PluginDir are for a logplug that works without serve, which has its
	// own.
	StateDir, PluginDir string
}

// The names of parameters. Those of relay are socket and takeover.
const (
	optionPrefix = "opt."
	labelPrefix  = "label."
)

// names lists the parameters, for errors.
var names = []string{"driver", "name", "opt.NAME", "opt-file", "label.NAME", "state-dir", "plugin-dir", "socket", "takeover"}

// ParseSettings returns the settings in alternating names and values. Errors contain
// no value: it may be a secret.
func ParseSettings(pairs []string) (s Settings, err error) {
	if len(pairs)%2 != 0 {
		return s, errors.New("log URI: a parameter has no value")
	}
	s.Options, s.Labels = make(map[string]string), make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		if err := s.set(pairs[i], pairs[i+1]); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *Settings) set(name, value string) error {
	switch name {
	case "driver":
		s.Driver = value
	case "name":
		s.Name = value
	case "opt-file":
		s.OptionFiles = append(s.OptionFiles, value)
	case "state-dir":
		s.StateDir = value
	case "plugin-dir":
		s.PluginDir = value
	case "socket", "takeover", Marker:
	default:
		if option, ok := strings.CutPrefix(name, optionPrefix); ok && option != "" {
			s.Options[option] = value
			return nil
		}
		if label, ok := strings.CutPrefix(name, labelPrefix); ok && label != "" {
			s.Labels[label] = value
			return nil
		}
		return unknown(name)
	}
	return nil
}

func unknown(name string) error {
	best, score := "", 0.5
	for _, n := range names {
		if v := levenshtein.Similarity(name, n, nil); v > score {
			best, score = n, v
		}
	}
	if best != "" {
		return fmt.Errorf("log URI: unknown parameter %q; did you mean %q?", name, best)
	}
	return fmt.Errorf("log URI: unknown parameter %q; there are %s, and options of the driver are %sNAME",
		name, strings.Join(names, ", "), optionPrefix)
}

// Marker is the parameter without a value by which logplug knows that containerd
// runs it: binary:///usr/bin/logplug?containerd&driver=NAME.
const Marker = "containerd"

// Invoked tells whether containerd runs this program, and returns the settings. The
// environment has nothing but two variables then, and parameters have no order.
func Invoked(args, env []string) (settings []string, ok bool) {
	if len(args)%2 != 0 || len(env) != 2 || !slices.ContainsFunc(env, isID) {
		return nil, false
	}
	for i := 0; i < len(args); i += 2 {
		if args[i] == Marker && args[i+1] == "" {
			ok = true
		}
	}
	return args, ok
}

func isID(variable string) bool { return strings.HasPrefix(variable, "CONTAINER_ID=") }

// Container identifies a container.
type Container struct{ ID, Namespace string }

// defaultNamespace is the one whose containers' jobs are called by their ids alone.
const defaultNamespace = "default"

// JobID returns the id by which logplug logs finds the container: its own, with the
// namespace in front unless that is "default". The separator occurs in no name
// of containerd's.
func (c Container) JobID() string {
	if c.Namespace == "" || c.Namespace == defaultNamespace {
		return c.ID
	}
	id := c.Namespace + "--" + c.ID
	if jobs.CheckID(id) == nil {
		return id
	}
	sum := sha256.Sum256([]byte(c.Namespace))
	return hex.EncodeToString(sum[:8]) + "--" + c.ID
}

// Job describes the job that stands for the container. config are the driver's
// options, those of files included.
func (s *Settings) Job(c Container, store *jobs.Store, config map[string]string) (jobs.Job, error) {
	id := c.JobID()
	if err := jobs.CheckID(id); err != nil {
		return jobs.Job{}, err
	}
	name := s.Name
	if name == "" {
		name = c.ID
	}
	labels := map[string]string{"containerd.namespace": c.Namespace}
	for k, v := range s.Labels {
		labels[k] = v
	}
	return jobs.Job{
		ID: id, Driver: s.Driver, Dir: "/", Command: []string{"containerd", c.Namespace + "/" + c.ID},
		Info: logdriver.Info{
			Config: config, ContainerID: c.ID, ContainerName: name, ContainerCreated: time.Now(),
			ContainerLabels: labels, LogPath: store.LogPath(id), DaemonName: "containerd",
		},
	}, nil
}
