package importer

import (
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// entry is one record of a log file.
type entry struct {
	line         []byte // without newline; valid until the next record is decoded
	source       string
	time         time.Time
	attrs        []logdriver.Attr
	more         bool // the line goes on in the next record of this source
	unterminated bool
}

// decoder decodes one file.
type decoder interface {
	// next decodes the record at the front of in. It skips what is damaged, and
	// tells in of it. It returns io.EOF at the end, where in is in front of a record
	// that is incomplete.
	next(in *input, e *entry) error
}

// Format is the format of log files.
type Format string

// The formats.
const (
	DockerJSON  Format = "docker-json"  // Docker's json-file driver
	DockerLocal Format = "docker-local" // Docker's local driver
	CRI         Format = "cri"          // the container runtime interface, as in Kubernetes
)

// Formats returns all formats.
func Formats() []string { return []string{string(DockerJSON), string(DockerLocal), string(CRI)} }

func (f Format) decoder() decoder {
	switch f {
	case DockerJSON:
		return &jsonDecoder{}
	case DockerLocal:
		return &localDecoder{}
	default:
		return &criDecoder{}
	}
}
