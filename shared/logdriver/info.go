package logdriver

import (
	"os"
	"strings"
	"time"
)

// shortIDBytes is the length of the abbreviated IDs that users see.
const shortIDBytes = 12

// Info describes the source of logs that a logger is opened for. The names of
// the fields are those of container engines; for other sources of logs,
// ContainerID and ContainerName identify the job or service.
type Info struct {
	// Config holds the driver's options by name.
	Config map[string]string `json:"config,omitempty"`

	ContainerID         string            `json:"containerID,omitempty"`
	ContainerName       string            `json:"containerName,omitempty"`
	ContainerEntrypoint string            `json:"containerEntrypoint,omitempty"`
	ContainerArgs       []string          `json:"containerArgs,omitempty"`
	ContainerImageID    string            `json:"containerImageID,omitempty"`
	ContainerImageName  string            `json:"containerImageName,omitempty"`
	ContainerCreated    time.Time         `json:"containerCreated,omitzero"`
	ContainerEnv        []string          `json:"containerEnv,omitempty"` // KEY=value
	ContainerLabels     map[string]string `json:"containerLabels,omitempty"`

	// LogPath is the file that a driver with a local file should use, unless its
	// options name another.
	LogPath string `json:"logPath,omitempty"`
	// DaemonName names the program that logs, for tags.
	DaemonName string `json:"daemonName,omitempty"`

	// Stream identifies the sequence space of Message.Seq: numbers of different
	// streams have nothing to do with each other. The host sets it.
	Stream string `json:"stream,omitempty"`
}

// ID returns the first 12 bytes of the container's ID.
func (i *Info) ID() string { return shorten(i.ContainerID) }

// FullID returns the container's whole ID.
func (i *Info) FullID() string { return i.ContainerID }

// Name returns the container's name without a leading slash.
func (i *Info) Name() string { return strings.TrimPrefix(i.ContainerName, "/") }

// ImageID returns the first 12 bytes of the image's ID.
func (i *Info) ImageID() string { return shorten(i.ContainerImageID) }

// ImageFullID returns the image's whole ID.
func (i *Info) ImageFullID() string { return i.ContainerImageID }

// ImageName returns the image's name.
func (i *Info) ImageName() string { return i.ContainerImageName }

// Command returns the entrypoint and its arguments, separated by spaces.
func (i *Info) Command() string {
	return strings.Join(append([]string{i.ContainerEntrypoint}, i.ContainerArgs...), " ")
}

// Hostname returns the name of the machine that the caller runs on.
func (i *Info) Hostname() (string, error) { return os.Hostname() }

// Clone returns a copy of i that shares no map or slice with it.
func (i Info) Clone() Info {
	i.Config = cloneMap(i.Config)
	i.ContainerLabels = cloneMap(i.ContainerLabels)
	i.ContainerArgs = append([]string(nil), i.ContainerArgs...)
	i.ContainerEnv = append([]string(nil), i.ContainerEnv...)
	return i
}

func cloneMap(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

func shorten(id string) string {
	if len(id) > shortIDBytes {
		return id[:shortIDBytes]
	}
	return id
}
