package drivertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/logplug/logplug/shared/logdriver"
)

func optionRules() []Rule {
	return []Rule{
		{
			ID:    "options/defaults",
			Text:  "Each option's default, written out, is accepted.",
			check: checkDefaults,
		},
		{
			ID:    "options/unknown",
			Text:  "Open refuses an option that the driver does not have, with an error that names it.",
			check: checkUnknownOption,
		},
		{
			ID:    "options/typo",
			Text:  "Open refuses a misspelt option with an error that suggests the right name.",
			check: checkTypo,
		},
		{
			ID:    "options/bad-value",
			Text:  "Open refuses a value that is none of its option's type, with an error that names the option.",
			check: checkBadValues,
		},
		{
			ID:    "options/required",
			Text:  "Open refuses to do without a required option, with an error that names it.",
			check: checkRequired,
		},
		{
			ID:    "options/secret",
			Text:  "The value of a secret option appears neither in an error nor in what the driver logs.",
			check: checkSecrets,
		},
		{
			ID:    "options/refusal",
			Text:  "After Open refused an option, the process serves on, and leaves nothing of the refused logger in the way.",
			check: checkRefusal,
		},
	}
}

// badValues are texts that no option of a type may take.
var badValues = map[logdriver.OptionType][]string{
	logdriver.TypeBool:     {"maybe", "2"},
	logdriver.TypeInt:      {"many", "1.5", "12x"},
	logdriver.TypeFloat:    {"much", "1,5"},
	logdriver.TypeSize:     {"large", "10 parsecs"},
	logdriver.TypeDuration: {"soon", "10 parsecs"},
	logdriver.TypeEnum:     {"none-of-the-values"},
	logdriver.TypeRegexp:   {"("},
	logdriver.TypeTemplate: {"{{"},
}

func checkDefaults(ctx context.Context, e *env) error {
	n := 0
	for _, o := range e.desc.Options {
		if o.Default == "" {
			continue
		}
		n++
		info := e.newInfo()
		if _, given := info.Config[o.Name]; given {
			continue
		}
		info.Config[o.Name] = o.Default
		l, err := e.open(ctx, info)
		if err != nil {
			return fmt.Errorf("option %q with its default %q: %w", o.Name, o.Default, err)
		}
		if err := e.shut(ctx, l); err != nil {
			return fmt.Errorf("option %q with its default %q: close: %w", o.Name, o.Default, err)
		}
	}
	if n == 0 {
		return skip("the driver has no options with defaults")
	}
	return nil
}

// refused opens a log that must be refused for the named option.
func (e *env) refused(ctx context.Context, info logdriver.Info, option string) (*logdriver.OptionError, error) {
	l, err := e.host.Open(ctx, e.name, info)
	if err == nil {
		return nil, errors.Join(errors.New("it was accepted"), e.shut(ctx, l))
	}
	var o *logdriver.OptionError
	switch {
	case !errors.As(err, &o):
		return nil, fmt.Errorf("the error is no option error: %w", err)
	case o.Option != option:
		return nil, fmt.Errorf("the error is about the option %q: %w", o.Option, err)
	case strings.TrimSpace(o.Reason) == "":
		return nil, fmt.Errorf("the error gives no reason: %w", err)
	}
	return o, nil
}

func checkUnknownOption(ctx context.Context, e *env) error {
	const unknown = "drivertest-no-such-option"
	info := e.newInfo()
	info.Config[unknown] = "1"
	_, err := e.refused(ctx, info, unknown)
	return err
}

func checkTypo(ctx context.Context, e *env) error {
	known := map[string]bool{}
	for _, o := range e.desc.Options {
		known[o.Name] = true
	}
	n := 0
	for name := range known {
		typo := name[:len(name)/2] + name[(len(name)+1)/2:] + "x"
		if len(name) < 5 || known[typo] {
			continue
		}
		n++
		info := e.newInfo()
		info.Config[typo] = "1"
		o, err := e.refused(ctx, info, typo)
		if err != nil {
			return fmt.Errorf("option %q for %q: %w", typo, name, err)
		}
		if !known[o.Nearest] {
			return fmt.Errorf("option %q for %q: the suggestion is %q", typo, name, o.Nearest)
		}
	}
	if n == 0 {
		return skip("the driver has no options with names that could be misspelt")
	}
	return nil
}

func checkBadValues(ctx context.Context, e *env) error {
	n := 0
	for _, o := range e.desc.Options {
		for _, bad := range badValues[o.Type] {
			n++
			info := e.newInfo()
			info.Config[o.Name] = bad
			if _, err := e.refused(ctx, info, o.Name); err != nil {
				return fmt.Errorf("option %q of type %s with the value %q: %w", o.Name, o.Type, bad, err)
			}
		}
	}
	if n == 0 {
		return skip("the driver has no options of which a value can be wrong")
	}
	return nil
}

func checkRequired(ctx context.Context, e *env) error {
	n := 0
	for _, o := range e.desc.Options {
		if !o.Required {
			continue
		}
		n++
		info := e.newInfo()
		if _, ok := info.Config[o.Name]; !ok {
			return fmt.Errorf("the required option %q is not among those that the driver is checked with: add it", o.Name)
		}
		delete(info.Config, o.Name)
		if _, err := e.refused(ctx, info, o.Name); err != nil {
			return fmt.Errorf("without option %q: %w", o.Name, err)
		}
	}
	if n == 0 {
		return skip("the driver has no required options")
	}
	return nil
}

func checkSecrets(ctx context.Context, e *env) error {
	secrets := slices.DeleteFunc(slices.Clone(e.desc.Options), func(o logdriver.Option) bool { return !o.Secret })
	if len(secrets) == 0 {
		return skip("the driver has no secret options")
	}
	for _, o := range secrets {
		secret := "s3cret-" + rand.Text()
		for what, extra := range map[string]map[string]string{
			"as the only change":                {},
			"together with an unknown option":   {"drivertest-no-such-option": secret},
			"together with a misspelt name":     {o.Name + "x": secret},
			"together with broken other values": e.allBad(),
		} {
			info := e.newInfo()
			maps.Copy(info.Config, extra)
			info.Config[o.Name] = secret
			l, err := e.host.Open(ctx, e.name, info)
			if err == nil {
				err = e.shut(ctx, l)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				return fmt.Errorf("option %q, %s: its value is in the error %q",
					o.Name, what, strings.ReplaceAll(err.Error(), secret, "<HERE>"))
			}
		}
		// The process has written all of its log when it is gone.
		if err := e.anotherHost(); err != nil {
			return err
		}
		if strings.Contains(e.log.String(), secret) {
			return fmt.Errorf("option %q: its value is in the driver's log", o.Name)
		}
	}
	return nil
}

// allBad returns a wrong value for each option that can have one and no secret.
func (e *env) allBad() map[string]string {
	bad := map[string]string{}
	for _, o := range e.desc.Options {
		if values := badValues[o.Type]; len(values) > 0 && !o.Secret {
			bad[o.Name] = values[0]
		}
	}
	return bad
}

func checkRefusal(ctx context.Context, e *env) error {
	info := e.newInfo()
	info.Config["drivertest-no-such-option"] = "1"
	if l, err := e.host.Open(ctx, e.name, info); err == nil {
		return errors.Join(errors.New("an unknown option was accepted"), e.shut(ctx, l))
	}
	pid := e.pid()
	delete(info.Config, "drivertest-no-such-option")
	l, err := e.open(ctx, info)
	if err != nil {
		return err
	}
	if err := logAll(l, numbered(3)); err != nil {
		return err
	}
	if err := e.shut(ctx, l); err != nil {
		return err
	}
	if now := e.pid(); now != pid {
		return fmt.Errorf("process %d was replaced by process %d", pid, now)
	}
	return nil
}
