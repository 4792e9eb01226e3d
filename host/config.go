package host

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/shared/logdriver"
)

// Config configures a Host. The zero value of each field means its default.
type Config struct {
	// PluginDirs are the directories in which drivers are searched.
	PluginDirs []string

	// SocketParent is the directory in which the host makes its private
	// directory for sockets. The default is the system's directory for
	// temporary files.
	SocketParent string

	// Logger gets the host's own log lines, and those of drivers under their
	// names. The default discards them.
	Logger hclog.Logger

	// Env names the environment variables of this process that drivers get in
	// addition to a few that every program expects (PATH, HOME, TZ, locale,
	// temporary directory, proxies, certificates). A name that ends in "*" stands for all that begin
	// like it; "NAME=value" sets a variable.
	Env []string

	// Sandbox confines the processes of drivers, by driver's name; AnyDriver stands
	// for all others.
	Sandbox map[string]Sandbox

	// Pins is a file with the SHA-256 sums of drivers' binaries, as sha256sum
	// prints them; several for one driver are alternatives. With it, a driver
	// is used only if its binary's sum is there, and exactly the bytes
	// that were summed are executed. The file is read again for each start. It
	// excludes Attach: nobody knows what a process that runs already executes.
	Pins string

	// Spool bounds what is accepted and not yet acknowledged.
	Spool SpoolConfig

	// Cache keeps what is logged to drivers that cannot read.
	Cache CacheConfig

	// DeadLetters is a file to which messages are appended that a driver will
	// never store, see DeadLetter. The default is a file in Spool.Dir; without
	// that, such messages are counted and lost.
	DeadLetters string
	// DeadLetterBytes bounds that file: default 64 MiB.
	DeadLetterBytes int64

	// NoWatch turns off watching the plugin directories for new binaries of
	// drivers in use, see Host.Reload.
	NoWatch bool

	// Timeouts bounds every wait for a driver.
	Timeouts Timeouts

	// Linger is the longest that a message waits for company: while the driver owes
	// many answers, where hundreds of loggers share its stream, or right behind requests that
	// were full. Otherwise messages leave at once. The default is 4 milliseconds; negative
	// turns it off.
	Linger time.Duration

	// Attach names drivers that run already, under a debugger for one, in the
	// JSON that they print. The host uses these instead of starting binaries.
	Attach string
}

// SpoolConfig says where messages wait for their acknowledgement, and how many.
type SpoolConfig struct {
	// Dir is a directory in which what Log has accepted survives the end of this
	// process, however it ends: the next host on the directory delivers it.
	// One host at a time can use it. Without it, the spool is in memory.
	Dir string
	// Sync says when the directory is made to survive a loss of power too.
	// The default is SyncNone.
	Sync SyncPolicy
	// SyncInterval is how often SyncInterval does so. Default 1 s.
	SyncInterval time.Duration

	// LoggerBytes bounds one logger's spool, in encoded bytes: default 4 MiB, at
	// least MinSpoolBytes. A logger in non-blocking mode has its own bound, see
	// Host.Open.
	LoggerBytes int
	// LoggerMessages bounds the number of messages in one logger's spool:
	// default 1 million.
	LoggerMessages int
	// HostBytes bounds the spools of all loggers together: default 256 MiB.
	HostBytes int
	// HostMessages bounds their number of messages: default 10 million.
	HostMessages int
}

// SyncPolicy says when a spool directory is made durable.
type SyncPolicy string

// The policies. With each of them messages survive the end of the process.
const (
	SyncNone     SyncPolicy = "none"     // when the system sees fit
	SyncInterval SyncPolicy = "interval" // every SpoolConfig.SyncInterval
	SyncAlways   SyncPolicy = "always"   // before Log returns
)

// MinSpoolBytes is the least that a logger's spool may be bounded to: two
// messages of the largest size.
const MinSpoolBytes = 2 * (logdriver.MaxLineBytes + logdriver.MaxAttrBytes)

// Timeouts bounds waiting. Zero fields mean the default.
type Timeouts struct {
	// Start: from starting a driver's process to its answering. Default 10 s.
	Start time.Duration
	// Call: one Describe, Open or Flush, and the start of a ReadLogs. Default 15 s.
	Call time.Duration
	// Log: for room in the spool and, with SyncAlways, for the disk. Default 30 s.
	Log time.Duration
	// Close: for one logger to deliver what it has accepted. Default 10 s.
	Close time.Duration
	// Stop: for a driver's process to end before it is killed. Default 5 s.
	Stop time.Duration
	// Health: for an answer of a driver that does not acknowledge. Default 5 s.
	Health time.Duration
	// Progress: for an acknowledgement from a driver that answers
	// but neither acknowledges nor says that it is blocked, before its process is
	// replaced. Default 2 min.
	Progress time.Duration
	// Quarantine: between attempts to start a driver whose processes end in
	// a row without getting anything done. Default 1 min.
	Quarantine time.Duration
}

// defaultEnv names the environment variables that every driver gets, as far as
// they are set.
var defaultEnv = []string{
	"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR", "SYSTEMROOT", "SystemRoot",
}

func (c Config) withDefaults() (Config, error) {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	setDefault(&c.Spool.Sync, SyncNone)
	setDefault(&c.Spool.SyncInterval, time.Second)
	setDefault(&c.Spool.LoggerBytes, 4<<20)
	setDefault(&c.Spool.LoggerMessages, 1_000_000)
	setDefault(&c.Spool.HostBytes, 256<<20)
	setDefault(&c.Spool.HostMessages, 10_000_000)
	setDefault(&c.Cache.SpoolBytes, defaultCacheSpool)
	setDefault(&c.Linger, 4*time.Millisecond)
	t := &c.Timeouts
	setDefault(&t.Start, 10*time.Second)
	setDefault(&t.Call, 15*time.Second)
	setDefault(&t.Log, 30*time.Second)
	setDefault(&t.Close, 10*time.Second)
	setDefault(&t.Stop, 5*time.Second)
	setDefault(&t.Health, 5*time.Second)
	setDefault(&t.Progress, 2*time.Minute)
	setDefault(&t.Quarantine, time.Minute)
	setDefault(&c.DeadLetterBytes, 64<<20)
	if c.DeadLetters == "" && c.Spool.Dir != "" {
		c.DeadLetters = filepath.Join(c.Spool.Dir, deadLettersFile)
	}
	switch c.Spool.Sync {
	case SyncNone, SyncInterval, SyncAlways:
	default:
		return c, fmt.Errorf("host configuration: Spool.Sync is %q, must be none, interval or always", c.Spool.Sync)
	}
	if c.Spool.LoggerMessages < 1 {
		return c, fmt.Errorf("host configuration: Spool.LoggerMessages is %d, must be positive", c.Spool.LoggerMessages)
	}
	if c.Spool.HostMessages < 1 {
		return c, fmt.Errorf("host configuration: Spool.HostMessages is %d, must be positive", c.Spool.HostMessages)
	}
	if c.Cache.SpoolBytes < MinSpoolBytes {
		return c, fmt.Errorf("host configuration: Cache.SpoolBytes is %d, must be at least %d", c.Cache.SpoolBytes, MinSpoolBytes)
	}
	if c.Pins != "" {
		if c.Attach != "" {
			return c, errors.New("host configuration: Pins and Attach exclude each other: what a process that runs already executes cannot be verified")
		}
		if _, err := (pins{c.Pins}).load(); err != nil {
			return c, fmt.Errorf("host configuration: Pins: %w", err)
		}
	}
	if c.Spool.LoggerBytes < MinSpoolBytes {
		return c, fmt.Errorf("host configuration: Spool.LoggerBytes is %d, must be at least %d", c.Spool.LoggerBytes, MinSpoolBytes)
	}
	if c.Spool.HostBytes < c.Spool.LoggerBytes {
		return c, fmt.Errorf("host configuration: Spool.HostBytes is %d, must be at least Spool.LoggerBytes, %d",
			c.Spool.HostBytes, c.Spool.LoggerBytes)
	}
	for name, d := range map[string]time.Duration{
		"Start": t.Start, "Call": t.Call, "Log": t.Log, "Close": t.Close,
		"Stop": t.Stop, "Health": t.Health, "Progress": t.Progress, "Quarantine": t.Quarantine,
	} {
		if d < 0 {
			return c, fmt.Errorf("host configuration: Timeouts.%s is %v, must be positive", name, d)
		}
	}
	return c, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
