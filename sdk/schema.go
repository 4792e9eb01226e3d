package sdk

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// schema is what the tags of an options struct say, in the order of its fields.
type schema struct {
	fields []field
	byName map[string]int
}

type field struct {
	logdriver.Option
	index []int // of the field, as reflect.Value.FieldByIndex takes it
	typ   reflect.Type
}

const optionTag = "logplug"

// prefixFlag marks the tag of a struct whose options have names that begin with
// what is before it.
const prefixFlag = ",prefix"

var (
	sizeType     = reflect.TypeFor[Size]()
	durationType = reflect.TypeFor[time.Duration]()
	listType     = reflect.TypeFor[[]string]()
	regexpType   = reflect.TypeFor[*regexp.Regexp]()
	templateType = reflect.TypeFor[*template.Template]()
)

var optionName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

func newSchema[O any]() (*schema, error) {
	t := reflect.TypeFor[O]()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("options: %v is not a struct", t)
	}
	s := &schema{byName: make(map[string]int)}
	if err := s.addStruct(t, nil, ""); err != nil {
		return nil, err
	}
	// Defaults are the author's: a wrong one is found at the start, not when a
	// user leaves the option out.
	for i := range s.fields {
		f := &s.fields[i]
		if f.Default == "" {
			continue
		}
		if reason := f.set(reflect.New(f.typ).Elem(), f.Default); reason != "" {
			return nil, fmt.Errorf("options: the default of %q: %s", f.Name, reason)
		}
	}
	return s, nil
}

// addStruct adds the options of t, a struct at the given index, with prefix before
// their names.
func (s *schema) addStruct(t reflect.Type, index []int, prefix string) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(append([]int(nil), index...), i)
		tag, tagged := sf.Tag.Lookup(optionTag)
		switch {
		case sf.Anonymous && !tagged && sf.Type.Kind() == reflect.Struct:
			if err := s.addStruct(sf.Type, at, prefix); err != nil {
				return err
			}
		case !tagged || tag == "-":
		case !sf.IsExported():
			return fmt.Errorf("options: field %s of %v has a tag and is not exported", sf.Name, t)
		case strings.HasSuffix(tag, prefixFlag) && sf.Type.Kind() == reflect.Struct:
			if err := s.addStruct(sf.Type, at, prefix+strings.TrimSuffix(tag, prefixFlag)); err != nil {
				return err
			}
		default:
			if err := s.addField(sf, prefix+tag, at); err != nil {
				return fmt.Errorf("options: field %s of %v: %w", sf.Name, t, err)
			}
		}
	}
	return nil
}

func (s *schema) addField(sf reflect.StructField, tag string, index []int) error {
	name, flags, _ := strings.Cut(tag, ",")
	f := field{index: index, typ: sf.Type, Option: logdriver.Option{
		Name: name, Help: sf.Tag.Get("help"), Default: sf.Tag.Get("default"),
	}}
	if !optionName.MatchString(name) {
		return fmt.Errorf("option name %q: must match %v", name, optionName)
	}
	if _, twice := s.byName[name]; twice {
		return fmt.Errorf("option %q is declared twice", name)
	}
	for flag := range strings.SplitSeq(flags, ",") {
		switch flag {
		case "":
		case "required":
			f.Required = true
		case "secret":
			f.Secret = true
		default:
			return fmt.Errorf("option %q: unknown flag %q in the tag, known are required and secret", name, flag)
		}
	}
	if f.Required && f.Default != "" {
		return fmt.Errorf("option %q is required and has a default", name)
	}
	if f.Secret && f.Default != "" {
		return fmt.Errorf("option %q is secret and has a default, which everybody can see", name)
	}
	if err := f.findType(sf.Tag.Get("enum")); err != nil {
		return fmt.Errorf("option %q: %w", name, err)
	}
	s.byName[name] = len(s.fields)
	s.fields = append(s.fields, f)
	return nil
}

// findType finds the option's type by that of the field.
func (f *field) findType(enum string) error {
	if enum != "" {
		if f.typ.Kind() != reflect.String {
			return fmt.Errorf("an enum is a string, not %v", f.typ)
		}
		f.Type, f.Values = logdriver.TypeEnum, splitList(enum)
		return nil
	}
	switch f.typ {
	case sizeType:
		f.Type = logdriver.TypeSize
	case durationType:
		f.Type = logdriver.TypeDuration
	case listType:
		f.Type = logdriver.TypeList
	case regexpType:
		f.Type = logdriver.TypeRegexp
	case templateType:
		f.Type = logdriver.TypeTemplate
	default:
		return f.findBasicType()
	}
	return nil
}

func (f *field) findBasicType() error {
	switch f.typ.Kind() {
	case reflect.String:
		f.Type = logdriver.TypeString
	case reflect.Bool:
		f.Type = logdriver.TypeBool
	case reflect.Float64, reflect.Float32:
		f.Type = logdriver.TypeFloat
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		f.Type = logdriver.TypeInt
	default:
		return fmt.Errorf("a field of type %v cannot hold an option", f.typ)
	}
	return nil
}

// options returns the schema as the contract has it; never nil.
func (s *schema) options() []logdriver.Option {
	options := make([]logdriver.Option, len(s.fields))
	for i := range s.fields {
		options[i] = s.fields[i].Option
	}
	return options
}

// secrets returns the values of secret options in config.
func (s *schema) secrets(config map[string]string) []string {
	var secrets []string
	for i := range s.fields {
		f := &s.fields[i]
		v, given := config[f.Name]
		if !given {
			v = f.Default
		}
		if f.Secret && v != "" {
			secrets = append(secrets, v)
		}
	}
	return secrets
}

// splitList splits at commas, and leaves out blanks and empty items.
func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
