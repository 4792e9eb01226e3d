package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// Daemon is a Docker daemon with its own data, containerd, and /run: its plugins are
// looked for in a /run/docker/plugins that nobody else sees.
type Daemon struct {
	// Dir has its data, in Dir/data, and its socket.
	Dir string

	docker  string
	process *receiver.Process
}

// daemonPrograms are what a daemon needs.
var daemonPrograms = []string{"dockerd", "docker", "unshare", "nsenter", "containerd", "runc", "mount"}

// inNamespace mounts a /run of its own and becomes the daemon.
const inNamespace = `mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/docker/plugins && exec "$@"`

// RunDaemon runs a daemon with its files in a directory whose path is short enough for
// sockets, until Stop. It needs root, and fails with the reason where it cannot run.
func RunDaemon(ctx context.Context, dir string) (*Daemon, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("dockerd needs root")
	}
	found := make(map[string]string)
	for _, program := range daemonPrograms {
		path, err := receiver.Find(program)
		if err != nil {
			return nil, err
		}
		found[program] = path
	}
	d := &Daemon{Dir: dir, docker: found["docker"]}
	config := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		return nil, err
	}
	starting.Lock()
	defer starting.Unlock()
	var err error
	for range startTries {
		if d.process, err = d.start(ctx, found, config); err == nil || ctx.Err() != nil {
			break
		}
	}
	return d, err
}

// starting is held while a daemon starts: it gives up if its containerd does not answer
// within some seconds, as on a machine on which others start too.
var starting sync.Mutex

// startTries is how often a daemon is started that does not come up.
const startTries = 3

func (d *Daemon) start(ctx context.Context, found map[string]string, config string) (*receiver.Process, error) {
	return receiver.Start(ctx, receiver.Command{
		Path: found["unshare"],
		Args: []string{
			"--mount", "sh", "-c", inNamespace, "sh", found["dockerd"], "--config-file", config,
			"--data-root", filepath.Join(d.Dir, "data"), "--exec-root", filepath.Join(d.Dir, "exec"),
			"--pidfile", filepath.Join(d.Dir, "pid"), "--host", d.host(),
			"--log-level=error", "--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs",
		},
		Dir: d.Dir, Env: []string{"HOME=" + d.Dir},
		Ready: func(ctx context.Context) error { return d.call(ctx, "version").Run() },
	})
}

func (d *Daemon) host() string { return "unix://" + filepath.Join(d.Dir, "docker.sock") }

// Pid returns the daemon's process.
func (d *Daemon) Pid() int { return d.process.Pid() }

// RemoveAll removes all containers.
func (d *Daemon) RemoveAll() error {
	out, err := d.Docker("ps", "-aq").Output()
	if ids := strings.Fields(string(out)); err == nil && len(ids) > 0 {
		out, err = d.Docker(append([]string{"rm", "-f"}, ids...)...).CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("removing containers: %w\n%s", err, out)
	}
	return nil
}

// Stop removes all containers and ends the daemon.
func (d *Daemon) Stop() error {
	return errors.Join(d.RemoveAll(), d.process.Stop())
}

// Docker returns a call of Docker's client, which is killed if it takes minutes.
func (d *Daemon) Docker(args ...string) *exec.Cmd { return d.call(context.Background(), args...) }

func (d *Daemon) call(ctx context.Context, args ...string) *exec.Cmd {
	cmd := bounded(ctx, d.docker, append([]string{"--host", d.host()}, args...)...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+d.Dir, "TZ=UTC")
	return cmd
}

// Inside returns a command that sees the daemon's /run.
func (d *Daemon) Inside(name string, args ...string) *exec.Cmd {
	enter := append([]string{"--mount=/proc/" + strconv.Itoa(d.Pid()) + "/ns/mnt", name}, args...)
	return exec.Command("nsenter", enter...)
}

// RunInside runs such a command, which is killed if it takes minutes.
func (d *Daemon) RunInside(name string, args ...string) error {
	cmd := d.Inside(name, args...)
	if out, err := bounded(context.Background(), cmd.Path, cmd.Args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

// Path returns where a path of the daemon's is seen from outside.
func (d *Daemon) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(d.Pid()), "root", path)
}

// Load makes an image of one static program, which its containers run.
func (d *Daemon) Load(image, program string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err = w.WriteHeader(&tar.Header{Name: "program", Mode: 0o755, Size: int64(len(text))})
	if err == nil {
		_, err = w.Write(text)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	cmd := d.Docker("import", "--change", `ENTRYPOINT ["/program"]`, "-", image)
	cmd.Stdin = &archive
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("docker import: %w\n%s", err, out)
	}
	return nil
}
