//go:build linux

package handover

import (
	"os"
	"strconv"
)

// DefaultSocket returns where logplug serve listens if it is not told otherwise:
// below /run for root, and in the user's runtime directory for others. It does not
// depend on the environment, which containerd does not hand on.
func DefaultSocket() string {
	dir := "/run"
	if uid := os.Geteuid(); uid != 0 {
		dir = "/run/user/" + strconv.Itoa(uid)
	}
	return dir + "/logplug/serve.sock"
}

// Setting returns the value of a name in a list of alternating names and values.
func Setting(settings []string, name string) (value string, ok bool) {
	for i := 0; i+1 < len(settings); i += 2 {
		if settings[i] == name {
			return settings[i+1], true
		}
	}
	return "", false
}
