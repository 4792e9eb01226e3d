package logdriver

// Description is what a driver says of itself, over the wire and, in JSON,
// when its binary is run with the argument "describe".
type Description struct {
	// Name is the driver's name: lower-case letters, digits and "-".
	Name string `json:"name"`
	// Version is the driver's own version, for humans.
	Version string `json:"version"`
	// Summary is one line of help.
	Summary string `json:"summary,omitempty"`
	// Protocol is the range of protocol versions that the driver speaks.
	Protocol VersionRange `json:"protocol"`
	// Capability says what the driver can do.
	Capability Capability `json:"capability"`
	// Options is the schema of Info.Config.
	Options []Option `json:"options"`
	// Needs says what the driver's process must be allowed to do.
	Needs Needs `json:"needs,omitzero"`
}

// Needs is what a driver's process must be allowed to do beyond what every
// driver may: read files, write where Info.LogPath and its options say, and talk
// to its host. A host that confines its drivers refuses a driver whose needs it
// does not grant.
type Needs struct {
	// Network tells that it opens TCP connections to addresses that its options
	// name.
	Network bool `json:"network,omitempty"`
	// ConnectPorts are TCP ports that it connects to, whatever its options; 1 to
	// 65535.
	ConnectPorts []int `json:"connectPorts,omitempty"`
	// ListenPorts are TCP ports that it listens on; 0 to 65535, where 0 stands
	// for a port that the system chooses.
	ListenPorts []int `json:"listenPorts,omitempty"`
	// WritePaths are absolute paths of files or directories that it writes to, or
	// below.
	WritePaths []string `json:"writePaths,omitempty"`
	// Root tells that it must run as the superuser.
	Root bool `json:"root,omitempty"`
}

// IsZero tells that nothing is needed.
func (n Needs) IsZero() bool {
	return !n.Network && len(n.ConnectPorts) == 0 && len(n.ListenPorts) == 0 && len(n.WritePaths) == 0 && !n.Root
}

// VersionRange is an inclusive range of protocol versions.
type VersionRange struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// OptionType is the type of an option's value; values are written as text.
type OptionType string

// The types of options. A reader of a schema treats others as TypeString.
const (
	TypeString   OptionType = "string"
	TypeBool     OptionType = "bool"     // true or false, as strconv.ParseBool takes them
	TypeInt      OptionType = "int"      // a decimal number
	TypeFloat    OptionType = "float"    // a decimal number with a fraction
	TypeSize     OptionType = "size"     // bytes, with a binary suffix: 64k, 10m, 20 MiB
	TypeDuration OptionType = "duration" // as time.ParseDuration takes it: 300ms, 1h30m
	TypeEnum     OptionType = "enum"     // one of Option.Values
	TypeList     OptionType = "list"     // items separated by commas
	TypeRegexp   OptionType = "regexp"   // RE2 syntax
	TypeTemplate OptionType = "template" // text/template over Info
)

// Option describes one option of a driver.
type Option struct {
	Name    string     `json:"name"`
	Type    OptionType `json:"type"`
	Default string     `json:"default,omitempty"`
	// Values lists what an enum may be.
	Values []string `json:"values,omitempty"`
	// Required options have no default.
	Required bool `json:"required,omitempty"`
	// Secret values are never shown, logged, or put in an error.
	Secret bool   `json:"secret,omitempty"`
	Help   string `json:"help,omitempty"`
}
