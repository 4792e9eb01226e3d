package sdk

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/mitchellh/mapstructure"
)

// decode sets the fields of opts, a pointer to the struct that s was made for.
func (s *schema) decode(opts any, config map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		if _, known := s.byName[name]; !known {
			return s.unknown(name)
		}
	}
	target := reflect.ValueOf(opts).Elem()
	for i := range s.fields {
		f := &s.fields[i]
		text, given := config[f.Name]
		if f.Required && text == "" {
			return f.fail("is required")
		}
		if !given {
			text = f.Default
		}
		if !given && text == "" {
			continue
		}
		if reason := f.set(target.FieldByIndex(f.index), text); reason != "" {
			return f.fail(reason)
		}
	}
	return nil
}

func (f *field) fail(reason string) error {
	return &logdriver.OptionError{Option: f.Name, Reason: reason}
}

// nearest returns the known text that resembles text most, or "" if none does. Two
// wrong letters are forgiven, and half of a longer text.
func nearest(text string, known []string) string {
	text = strings.ToLower(text)
	best, found := max(2, len(text)/2)+1, ""
	for _, k := range known {
		if d := levenshtein.Distance(text, k, nil); d < best && d < min(len(k), len(text)) {
			best, found = d, k
		}
	}
	return found
}

func (s *schema) unknown(name string) error {
	e := &logdriver.OptionError{Option: name, Reason: "no such option"}
	if len(s.fields) == 0 {
		e.Reason = "this driver has no options"
	}
	for i := range s.fields {
		e.Known = append(e.Known, s.fields[i].Name)
	}
	e.Nearest = nearest(name, e.Known)
	return e
}

// set parses text into v. It returns what is wrong with the text, or "".
func (f *field) set(v reflect.Value, text string) (reason string) {
	parsed, reason := f.parse(text)
	if reason != "" {
		return f.describe(text) + reason
	}
	if parsed == nil {
		v.SetZero()
		return ""
	}
	switch f.typ {
	case regexpType, templateType:
		v.Set(reflect.ValueOf(parsed))
		return ""
	}
	dec, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: v.Addr().Interface(), TagName: optionTag, ZeroFields: true,
	})
	if err == nil {
		err = dec.Decode(parsed)
	}
	if err != nil {
		// Its text would show the value, and names that no user knows.
		return f.describe(text) + "is not a valid " + string(f.Type)
	}
	return ""
}

// describe begins a reason with the value, unless it is secret.
func (f *field) describe(text string) string {
	if f.Secret {
		return "the value (not shown) "
	}
	const most = 100
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strconv.Quote(text) + " "
}

// parse returns the value that text stands for, nil for none, or what is wrong
// with it.
func (f *field) parse(text string) (value any, reason string) {
	switch f.Type {
	case logdriver.TypeString:
		return text, ""
	case logdriver.TypeList:
		return splitList(text), ""
	case logdriver.TypeEnum:
		return f.parseEnum(text)
	case logdriver.TypeRegexp:
		return f.parseRegexp(text)
	case logdriver.TypeTemplate:
		return f.parseTemplate(text)
	case logdriver.TypeInt:
		return f.parseInt(strings.TrimSpace(text))
	}
	return f.parseScalar(strings.TrimSpace(text))
}

func (f *field) parseScalar(text string) (value any, reason string) {
	switch f.Type {
	case logdriver.TypeBool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, "is neither true nor false"
		}
		return b, ""
	case logdriver.TypeSize:
		n, err := ParseSize(text)
		if err != nil {
			return nil, "is " + err.Error()
		}
		return int64(n), ""
	case logdriver.TypeDuration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, "is not a duration, such as 300ms, 5s or 1h30m"
		}
		return int64(d), ""
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nil, "is not a number"
	}
	return n, ""
}

func (f *field) parseInt(text string) (value any, reason string) {
	bits := f.typ.Bits()
	switch f.typ.Kind() {
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			return nil, fmt.Sprintf("is not a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-bits))
		}
		return n, ""
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		limit := int64(math.MaxInt64) >> (64 - bits)
		return nil, fmt.Sprintf("is not a whole number from %d to %d", -limit-1, limit)
	}
	return n, ""
}

func (f *field) parseEnum(text string) (value any, reason string) {
	if slices.Contains(f.Values, text) {
		return text, ""
	}
	reason = "is not one of " + strings.Join(f.Values, ", ")
	if near := nearest(text, f.Values); near != "" && !f.Secret {
		reason += fmt.Sprintf("; did you mean %q?", near)
	}
	return nil, reason
}

func (f *field) parseRegexp(text string) (value any, reason string) {
	if text == "" {
		return nil, ""
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, f.because("is not a regular expression (RE2 syntax)", err)
	}
	return re, ""
}

func (f *field) parseTemplate(text string) (value any, reason string) {
	if text == "" {
		return nil, ""
	}
	t, err := parseTemplate(f.Name, text)
	if err != nil {
		return nil, f.because("is not a template (Go's text/template)", err)
	}
	return t, ""
}

// because adds err, whose text shows the value, unless that is secret.
func (f *field) because(reason string, err error) string {
	if f.Secret {
		return reason
	}
	return reason + ": " + err.Error()
}
