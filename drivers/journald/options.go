package main

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

// Values of the option confirm.
const (
	confirmSent   = "sent"
	confirmStored = "stored"
	confirmSynced = "synced"
)

// options are those of Docker's journald driver, and confirm, namespace, socket
// and directory.
type options struct {
	Confirm   string `logplug:"confirm" enum:"sent,stored,synced" default:"stored" help:"What is acknowledged: messages handed to journald, seen in the journal, or synced to the disk"`
	Namespace string `logplug:"namespace" help:"Journal namespace to write to and read from, as in LogNamespace= of systemd"`
	Socket    string `logplug:"socket" help:"journald's native socket; not given: the namespace's"`
	Directory string `logplug:"directory" help:"Directory with journal files, or with one directory of them; not given: the namespace's"`

	sdk.Attributes
	sdk.Tag
}

// Validate reports what is wrong with the options.
func (o *options) Validate() error {
	var errs []error
	refuse := func(option, reason string) {
		errs = append(errs, &logdriver.OptionError{Option: option, Reason: reason})
	}
	if strings.ContainsAny(o.Namespace, "/\x00") || strings.HasPrefix(o.Namespace, ".") {
		refuse("namespace", "must be a name as LogNamespace= takes it")
	}
	if o.Socket != "" && !filepath.IsAbs(o.Socket) {
		refuse("socket", "must be an absolute path")
	}
	if o.Directory != "" && !filepath.IsAbs(o.Directory) {
		refuse("directory", "must be an absolute path")
	}
	return errors.Join(errs...)
}

// place is where a log is: how journald is reached, where its files are, and
// which field tells the log's entries from others.
type place struct {
	socket string
	parent string // of the directories with files; empty for the system's own
	spaced string // the namespace
	field  string
	value  string
}

func (o *options) place(info *logdriver.Info) (place, error) {
	p := place{socket: o.Socket, parent: o.Directory, spaced: o.Namespace}
	if p.socket == "" {
		p.socket = "/run/systemd/journal/socket"
		if o.Namespace != "" {
			p.socket = "/run/systemd/journal." + o.Namespace + "/socket"
		}
	}
	switch {
	case info.ContainerID != "":
		p.field, p.value = fieldIDFull, info.ContainerID
	case info.ContainerName != "":
		p.field, p.value = fieldName, info.Name()
	default:
		return place{}, errors.New("the log has neither a ContainerID nor a ContainerName by which its entries could be found: give it one")
	}
	return p, nil
}

// dirs returns the directories that hold journal files, which may not exist yet.
func (p *place) dirs() ([]string, error) {
	if p.parent == "" {
		return journal.System(p.spaced)
	}
	return journal.Below(p.parent), nil
}

// reader returns a reader of the entries that contain a field.
func (p *place) reader(field, value string) (*journal.Reader, error) {
	dirs, err := p.dirs()
	if err != nil {
		return nil, err
	}
	return journal.NewReader(dirs, field, value), nil
}
