package wire

// The handshake between a host and a driver process is the one of HashiCorp's
// go-plugin: the host puts the magic cookie and the versions that it speaks in
// the driver's environment, and the driver answers with one line on stdout.
const (
	// MagicCookieKey and MagicCookieValue form the variable that tells a driver
	// binary that a host started it. They protect from mistakes, not from attacks.
	MagicCookieKey   = "LOGPLUG_DRIVER_COOKIE"
	MagicCookieValue = "5f1bb4f1e7a94d5f8f3c2c9b6d0e7a41"

	// PluginName is the name under which go-plugin knows the service.
	PluginName = "logdriver"

	// CoreProtocol is go-plugin's own protocol version, the first field of the
	// handshake line.
	CoreProtocol = 1
	// MinProtocol and MaxProtocol are the inclusive range of versions of the
	// logplug protocol that this module speaks.
	MinProtocol = 1
	MaxProtocol = 1

	// HealthService is the name that a driver reports as SERVING in
	// grpc.health.v1.Health.
	HealthService = "plugin"
)

// Variables in a driver's environment that go-plugin's handshake defines.
const (
	// EnvProtocolVersions lists the host's versions, separated by commas.
	EnvProtocolVersions = "PLUGIN_PROTOCOL_VERSIONS"
	// EnvSocketDir is the directory in which the driver creates its socket.
	EnvSocketDir = "PLUGIN_UNIX_SOCKET_DIR"
	// EnvClientCert is the host's certificate in PEM where both sides
	// authenticate with TLS.
	EnvClientCert = "PLUGIN_CLIENT_CERT"
)

// Variables of logplug.
const (
	// EnvAttach makes a host use drivers that are running already, under a
	// debugger for instance, see ParseAttach.
	EnvAttach = "LOGPLUG_ATTACH_DRIVERS"
	// EnvDebug makes a driver that is run by hand serve in debug mode.
	EnvDebug = "LOGPLUG_DEBUG"
	// EnvPluginDir lists the directories in which drivers are looked for,
	// separated as in PATH.
	EnvPluginDir = "LOGPLUG_PLUGIN_DIR"
	// EnvStateDir is the directory in which the command keeps what it knows
	// about logs.
	EnvStateDir = "LOGPLUG_STATE_DIR"
)

// MaxMessageBytes is the most that one gRPC message may hold, in both
// directions and on both sides: 8 MiB.
const MaxMessageBytes = 8 << 20

const (
	// DriverPrefix begins the file name of every driver binary.
	DriverPrefix = "logplug-driver-"
	// NamePattern is what follows it, a driver's name, as a regular expression.
	NamePattern = `[a-z0-9-]+`
	// MaxNameBytes is the most that a driver's name may hold.
	MaxNameBytes = 64
	// DescribeCommand is the argument with which a driver binary prints its
	// logdriver.Description in JSON and exits, without a handshake.
	DescribeCommand = "describe"
)

// ValidName tells whether name can be the name of a driver: 1 to MaxNameBytes
// of the characters of NamePattern.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxNameBytes {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
