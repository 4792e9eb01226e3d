package drivertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

func describeRules() []Rule {
	return []Rule{
		{
			ID:    "describe/answers",
			Text:  "Describe answers with the driver's name and version, and a range of protocol versions that includes the host's.",
			check: checkDescribe,
		},
		{
			ID:   "describe/name",
			Text: "The name that Describe gives is the one in the binary's file name.",
			check: func(_ context.Context, e *env) error {
				if e.desc.Name != e.name {
					return fmt.Errorf("Describe says %q, the file's name says %q", e.desc.Name, e.name)
				}
				return nil
			},
		},
		{
			ID:    "describe/command",
			Text:  `Run with the argument "describe" and no handshake, the binary prints in JSON what Describe answers, and exits with code 0.`,
			check: checkDescribeCommand,
		},
		{
			ID:    "describe/schema",
			Text:  "Each option has a name of its own, a known type and a line of help; an enum lists its values; a required option has no default; a default is a valid value of its type.",
			check: checkSchema,
		},
		{
			ID:    "describe/reserved",
			Text:  "No option has the name of one that hosts take for themselves: it would never reach the driver.",
			check: checkReserved,
		},
		{
			ID:    "describe/needs",
			Text:  "The ports that the driver needs are between 1 and 65535 (0 to listen on any), the paths that it writes to are absolute.",
			check: checkNeeds,
		},
		{
			ID:    "describe/capability",
			Text:  "Describe and Open agree on whether logs can be read; a driver that says they cannot refuses ReadLogs with ErrReadLogsNotSupported.",
			check: checkCapability,
		},
	}
}

func checkDescribe(_ context.Context, e *env) error {
	d := e.desc
	switch {
	case d.Name == "" || d.Version == "":
		return fmt.Errorf("name is %q, version is %q", d.Name, d.Version)
	case d.Protocol.Min > wire.MaxProtocol || d.Protocol.Max < wire.MinProtocol || d.Protocol.Min < 1:
		return fmt.Errorf("the protocol's versions are %d to %d, the host speaks %d to %d",
			d.Protocol.Min, d.Protocol.Max, wire.MinProtocol, wire.MaxProtocol)
	case strings.ContainsAny(d.Summary, "\r\n"):
		return fmt.Errorf("the summary has more than one line: %q", d.Summary)
	}
	return nil
}

func checkDescribeCommand(ctx context.Context, e *env) error {
	d, err := e.describe(ctx)
	if err != nil {
		return err
	}
	return sameDescription(d, e.desc)
}

func sameDescription(command, rpc logdriver.Description) error {
	normalize := func(d *logdriver.Description) {
		d.Options = slices.Clone(d.Options)
		for i := range d.Options {
			if len(d.Options[i].Values) == 0 {
				d.Options[i].Values = nil
			}
		}
		if len(d.Options) == 0 {
			d.Options = nil
		}
	}
	normalize(&command)
	normalize(&rpc)
	a, _ := json.Marshal(command) // strings, numbers and booleans can always be encoded
	b, _ := json.Marshal(rpc)
	if bytes.Equal(a, b) {
		return nil
	}
	return fmt.Errorf("the command says %s, the call %s", a, b)
}

func checkSchema(_ context.Context, e *env) error {
	seen := map[string]bool{}
	for _, o := range e.desc.Options {
		switch {
		case o.Name == "" || seen[o.Name]:
			return fmt.Errorf("the name %q is empty or used twice", o.Name)
		case strings.TrimSpace(o.Help) == "":
			return fmt.Errorf("option %q has no help", o.Name)
		case o.Required && o.Default != "":
			return fmt.Errorf("option %q is required and has the default %q", o.Name, o.Default)
		case o.Secret && o.Default != "":
			return fmt.Errorf("option %q is secret and has a default that everybody can see", o.Name)
		case o.Type == logdriver.TypeEnum && len(o.Values) == 0:
			return fmt.Errorf("option %q is an enum without values", o.Name)
		}
		seen[o.Name] = true
		if err := checkValue(&o, o.Default); err != nil && o.Default != "" {
			return fmt.Errorf("option %q has the default %q: %w", o.Name, o.Default, err)
		}
		if _, ok := badValues[o.Type]; !ok && !slices.Contains(openTypes, o.Type) {
			return fmt.Errorf("option %q has the unknown type %q", o.Name, o.Type)
		}
	}
	return nil
}

// openTypes are those of which every text is a value.
var openTypes = []logdriver.OptionType{logdriver.TypeString, logdriver.TypeList}

// checkValue parses text as the option's type has it.
func checkValue(o *logdriver.Option, text string) (err error) {
	switch o.Type {
	case logdriver.TypeBool:
		_, err = strconv.ParseBool(text)
	case logdriver.TypeInt:
		_, err = strconv.ParseInt(text, 10, 64)
	case logdriver.TypeFloat:
		_, err = strconv.ParseFloat(text, 64)
	case logdriver.TypeSize:
		_, err = units.RAMInBytes(text)
	case logdriver.TypeDuration:
		_, err = time.ParseDuration(text)
	case logdriver.TypeRegexp:
		_, err = regexp.Compile(text)
	case logdriver.TypeTemplate:
		err = checkTemplate(text)
	case logdriver.TypeEnum:
		if !slices.Contains(o.Values, text) {
			err = fmt.Errorf("it is none of %s", strings.Join(o.Values, ", "))
		}
	}
	return err
}

// checkTemplate lets functions pass that are the driver's own.
func checkTemplate(text string) error {
	_, err := template.New("").Parse(text)
	if err != nil && strings.Contains(err.Error(), "function") {
		return nil
	}
	return err
}

func checkReserved(_ context.Context, e *env) error {
	for _, reserved := range append(host.LoggerOptions(), host.CacheOptions()...) {
		for _, o := range e.desc.Options {
			if o.Name == reserved.Name {
				return fmt.Errorf("option %q is the host's (%s): give it another name", o.Name, reserved.Help)
			}
		}
	}
	return nil
}

func checkNeeds(_ context.Context, e *env) error {
	for least, ports := range map[int][]int{0: e.desc.Needs.ListenPorts, 1: e.desc.Needs.ConnectPorts} {
		for _, port := range ports {
			if port < least || port > 65535 {
				return fmt.Errorf("port %d is not between %d and 65535", port, least)
			}
		}
	}
	for _, path := range e.desc.Needs.WritePaths {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("path %q is not absolute", path)
		}
	}
	return nil
}

func checkCapability(ctx context.Context, e *env) error {
	l, info, err := e.openNew(ctx)
	if err != nil {
		return err
	}
	_, reads := l.(logdriver.LogReader)
	if reads != e.desc.Capability.ReadLogs {
		return fmt.Errorf("Describe says %t, Open says %t", e.desc.Capability.ReadLogs, reads)
	}
	if err := e.shut(ctx, l); err != nil {
		return err
	}
	if reads {
		return nil
	}
	reason, err := e.reading(e.reopened(info)(ctx, logdriver.ReadConfig{Tail: -1})).ends(ctx)
	if err == nil && !errors.Is(reason, logdriver.ErrReadLogsNotSupported) {
		err = fmt.Errorf("reading ended with: %w", orNoError(reason))
	}
	return err
}
