package cli

import (
	"os"
	"path/filepath"
	"time"

	"github.com/docker/go-units"
	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/docker"
	"github.com/logplug/logplug/shared/wire"
	"github.com/spf13/cobra"
)

// dockerOptions are the flags of logplug docker serve.
type dockerOptions struct {
	socketDir, name, dockerRoot string
	spoolSync                   string
	loggerSpool, hostSpool      string
}

func (a *app) dockerCommands() []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "docker",
		Short: "Let Docker's containers log through drivers",
		Args:  wantArgs(0, 0, "a command"),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.dockerServeCommand())
	return []*cobra.Command{cmd}
}

func (a *app) dockerServeCommand() *cobra.Command {
	var o dockerOptions
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Serve Docker's log driver plugin protocol",
		Long: `Serve Docker's log driver plugin protocol, for one Docker daemon. Each driver is
a plugin logplug-DRIVER, and the plugin logplug takes the driver as an option:

  docker run --log-driver logplug-jsonfile --log-opt max-size=10m IMAGE
  docker run --log-driver logplug --log-opt driver=jsonfile IMAGE

Logs, and what is not yet delivered, are in the state directory. When logplug is
killed and started again it goes on where it was; containers do not notice.`,
		Args:              wantArgs(0, 0, "flags"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return a.dockerServe(o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.socketDir, "socket-dir", "/run/docker/plugins", "serve in `DIR`, where the daemon looks for plugins")
	f.StringVar(&o.name, "name", "logplug", "`NAME` of the plugin, and with -DRIVER behind it, of those for one driver")
	f.StringVar(&o.dockerRoot, "docker-root", "/var/lib/docker", "the daemon's data `DIR`: logs of containers that are gone from there are removed; empty: all stay")
	f.StringVar(&o.spoolSync, "spool-sync", "", "when to make the spool survive a loss of power, `WHEN`: none, interval (every second) or always")
	f.StringVar(&o.loggerSpool, "spool-size", "4m", "hold up to `SIZE` for a container whose driver is slow, before it waits")
	f.StringVar(&o.hostSpool, "spool-total", "256m", "hold up to `SIZE` for all containers together")
	for _, name := range []string{"socket-dir", "docker-root"} {
		mustComplete(cmd, name, completeDirs)
	}
	for _, name := range []string{"name", "spool-size", "spool-total"} {
		mustComplete(cmd, name, cobra.NoFileCompletions)
	}
	mustComplete(cmd, "spool-sync", cobra.FixedCompletions(syncPolicies(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// dockerStateDir is the default of --state-dir: there is one daemon a machine.
const dockerStateDir = "/var/lib/logplug/docker"

func (a *app) dockerServe(o dockerOptions) error {
	ctx, stopSignals := interruptible()
	defer stopSignals()
	if a.stateDir == "" && os.Getenv(wire.EnvStateDir) == "" {
		a.stateDir = dockerStateDir
	}
	state, err := a.findStateDir()
	if err != nil {
		return err
	}
	lock, err := docker.Lock(state)
	if err != nil {
		return err
	}
	defer lock.Close()
	cfg, err := o.hostConfig(state)
	if err != nil {
		return err
	}
	dirs, err := a.findPluginDirs()
	if err != nil {
		return err
	}
	drivers := func() []string { return driverNames(dirs) }
	a.hostLog.release()
	h, stop, err := a.openHost(hclog.Info, cfg)
	if err != nil {
		return err
	}
	service := docker.New(h, docker.Config{
		StateDir: state, SocketDir: o.socketDir, Name: o.name, DockerRoot: o.dockerRoot,
		Drivers: drivers, Logger: a.serviceLog("docker"),
	})
	err = service.Serve(ctx, func() { a.notices.Printf("ready: plugin %s in %s", o.name, o.socketDir) })
	service.Quit()
	stop()
	service.Wait()
	return err
}

// hostConfig configures the host.
func (o *dockerOptions) hostConfig(state string) (host.Config, error) {
	cfg := host.Config{
		Spool:    host.SpoolConfig{Dir: filepath.Join(state, docker.SpoolName), Sync: host.SyncPolicy(o.spoolSync)},
		Timeouts: host.Timeouts{Log: time.Second}, // it is tried again
	}
	for flag, set := range map[string]struct {
		text  string
		value *int
	}{
		"--spool-size":  {o.loggerSpool, &cfg.Spool.LoggerBytes},
		"--spool-total": {o.hostSpool, &cfg.Spool.HostBytes},
	} {
		n, err := units.RAMInBytes(set.text)
		if err != nil || n <= 0 {
			return cfg, &usageError{badSize(flag, set.text)}
		}
		*set.value = int(n)
	}
	return cfg, nil
}
