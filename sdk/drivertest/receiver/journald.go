package receiver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Journald is a systemd-journald of its own: in a mount namespace where /run,
// /var/log/journal, the machine's ID and journald's configuration are those of a
// temporary directory. The machine's own journal knows nothing of it.
type Journald struct {
	*Process
	// Socket is the native socket, and Directory holds the directory with the
	// journal files; both can be used from outside the namespace.
	Socket    string
	Directory string
}

// JournaldConfig says how journald runs.
type JournaldConfig struct {
	// Settings are lines for the section [Journal] of journald.conf. Unless they
	// say otherwise, the journal is kept on disk and not forwarded anywhere.
	Settings []string
	// Env is added to journald's environment.
	Env []string
	// Unit makes journald take this process for one of a systemd unit of that name,
	// whatever control group it is in. Only units have limits.
	Unit string
}

// journaldScript runs in the new mount namespace, in the instance's directory.
const journaldScript = `
mount --make-rprivate / &&
mount --bind run /run &&
mkdir -p /var/log/journal &&
mount --bind journal /var/log/journal &&
mount --bind machine-id /etc/machine-id &&
mount --bind journald.conf /etc/systemd/journald.conf &&
{ [ ! -e cgroup ] || mount --bind cgroup "/proc/$1/cgroup"; } &&
exec "$0"
`

// StartJournald runs a journald until the end of the test. It needs root.
func StartJournald(t testing.TB, c JournaldConfig) *Journald {
	t.Helper()
	NeedRoot(t)
	Need(t, "systemd-journald")
	Need(t, "unshare")
	dir, err := os.MkdirTemp("", "journald") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	j, err := RunJournald(t.Context(), dir, c)
	if err != nil {
		Missing(t, err.Error()) // as in containers that may not mount
	}
	t.Cleanup(j.Kill)
	return j
}

// RunJournald runs a journald with its files in a directory whose path is short enough
// for sockets, until Kill. It needs root.
func RunJournald(ctx context.Context, dir string, c JournaldConfig) (*Journald, error) {
	binary, err := Find("systemd-journald")
	if err != nil {
		return nil, err
	}
	unshare, err := Find("unshare")
	if err != nil {
		return nil, err
	}
	if err := writeJournald(dir, c); err != nil {
		return nil, err
	}
	j := &Journald{
		Socket:    filepath.Join(dir, "run/systemd/journal/socket"),
		Directory: filepath.Join(dir, "journal"),
	}
	j.Process, err = Start(ctx, Command{
		Path: unshare, Args: []string{"--mount", "sh", "-c", journaldScript, binary, fmt.Sprint(os.Getpid())}, Dir: dir, Env: c.Env,
		Ready: j.ready,
	})
	return j, err
}

// writeJournald fills the directory of an instance.
func writeJournald(dir string, c JournaldConfig) error {
	for _, d := range []string{"run/systemd/journal", "journal"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	conf := append([]string{
		"[Journal]", "Storage=persistent", "ReadKMsg=no", "Audit=no", "ForwardToSyslog=no", "ForwardToKMsg=no",
		"ForwardToConsole=no", "ForwardToWall=no",
	}, c.Settings...)
	files := map[string]string{
		"machine-id":    hex.EncodeToString(id[:]) + "\n",
		"journald.conf": strings.Join(conf, "\n") + "\n",
		// Without it journald keeps the journal in /run until it is told that the
		// disk is there.
		"run/systemd/journal/flushed": "",
	}
	if c.Unit != "" {
		groups, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			return err
		}
		files["cgroup"] = groupPath.ReplaceAllString(string(groups), "${1}/system.slice/"+c.Unit)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// groupPath is a line of /proc/PID/cgroup, cgroups(7): number, controllers, path.
var groupPath = regexp.MustCompile(`(?m)^([0-9]*:[^:\n]*:).*$`)

func (j *Journald) ready(context.Context) error {
	conn, err := net.Dial("unixgram", j.Socket)
	if err != nil {
		return err
	}
	conn.Close()
	files, _ := filepath.Glob(filepath.Join(j.Directory, "*/system.journal"))
	if len(files) == 0 {
		return fmt.Errorf("there is no journal file below %s", j.Directory)
	}
	return nil
}

// Journalctl returns what journalctl prints with the given arguments.
func (j *Journald) Journalctl(ctx context.Context, args ...string) ([]byte, error) {
	path, err := Find("journalctl")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"--no-pager", "--quiet", "--directory", j.Directory}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("journalctl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}
