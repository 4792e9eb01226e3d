package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
	"github.com/spf13/cobra"
)

// versionInfo is what logplug says of itself.
type versionInfo struct {
	Version  string                 `json:"version"`
	Revision string                 `json:"revision,omitempty"`
	Modified bool                   `json:"modified,omitempty"`
	Protocol logdriver.VersionRange `json:"protocol"`
	Go       string                 `json:"go"`
	Platform string                 `json:"platform"`
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Show the versions of logplug and of its protocol",
		Args:              wantArgs(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := addFormat(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		v := readVersion()
		if *out == formatJSON {
			return writeJSON(a.stdout, v)
		}
		_, err := fmt.Fprintf(a.stdout, "logplug %s\nprotocol %d to %d\n%s %s\n",
			v, v.Protocol.Min, v.Protocol.Max, v.Go, v.Platform)
		return quietPipe(err)
	}
	return cmd
}

// String is the version with the revision it was built from.
func (v versionInfo) String() string {
	text := v.Version
	if v.Revision != "" {
		text += " (" + v.Revision
		if v.Modified {
			text += ", modified"
		}
		text += ")"
	}
	return text
}

// readVersion reads what the go command has noted in the binary.
func readVersion() versionInfo {
	v := versionInfo{
		Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Protocol: logdriver.VersionRange{Min: wire.MinProtocol, Max: wire.MaxProtocol},
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	const shortRevision = 12
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value[:min(len(s.Value), shortRevision)]
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
