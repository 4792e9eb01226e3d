package host

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/shared/logdriver"
)

// The options of a logger's cache, which the host takes out of Info.Config. Their
// names and defaults are those that users of container engines know.
const (
	optCacheDisabled = "cache-disabled"
	optCacheMaxSize  = "cache-max-size"
	optCacheMaxFile  = "cache-max-file"
	optCacheCompress = "cache-compress"
)

const (
	defaultCacheSize  = "20m"
	defaultCacheFiles = 5
)

// CacheOptions describes the options of the cache, which the host takes out of
// Info.Config. A driver that reads has no cache: there, cache-disabled has no
// effect and the others are refused.
func CacheOptions() []logdriver.Option {
	return []logdriver.Option{
		{
			Name: optCacheDisabled, Type: logdriver.TypeBool, Default: "false",
			Help: "keep no copy for reading, as the driver cannot read",
		},
		{
			Name: optCacheMaxSize, Type: logdriver.TypeSize, Default: defaultCacheSize,
			Help: "size at which a file of that copy is rotated",
		},
		{
			Name: optCacheMaxFile, Type: logdriver.TypeInt, Default: strconv.Itoa(defaultCacheFiles),
			Help: "number of its files, the current one included",
		},
		{
			Name: optCacheCompress, Type: logdriver.TypeBool, Default: "true",
			Help: "compress its rotated files; the default with one file is false",
		},
	}
}

// cacheOptions are the parsed options of one logger's cache.
type cacheOptions struct {
	disabled bool
	maxSize  int64
	maxFile  int
	compress bool
	// sized is an option that has a sense only where there is a cache, empty if
	// none was given.
	sized string
}

// config returns the options as the cache's driver takes them.
func (o *cacheOptions) config() map[string]string {
	return map[string]string{
		"max-size": strconv.FormatInt(o.maxSize, 10),
		"max-file": strconv.Itoa(o.maxFile),
		"compress": strconv.FormatBool(o.compress),
	}
}

// takeCache takes the options of the cache out of config, and returns what is left.
func takeCache(driver string, config map[string]string) (o cacheOptions, rest map[string]string, err error) {
	rest = maps.Clone(config)
	for _, opt := range CacheOptions() {
		text, given := config[opt.Name]
		delete(rest, opt.Name)
		if !given {
			text = opt.Default
		} else if opt.Name != optCacheDisabled {
			o.sized = opt.Name
		}
		if reason := o.set(opt.Name, text); reason != "" {
			return o, nil, &logdriver.OptionError{Driver: driver, Option: opt.Name, Reason: reason}
		}
	}
	if _, given := config[optCacheCompress]; !given && o.maxFile == 1 {
		o.compress = false
	}
	if o.compress && o.maxFile == 1 {
		return o, nil, &logdriver.OptionError{Driver: driver, Option: optCacheCompress,
			Reason: fmt.Sprintf("compresses rotated files, of which there are none with %s=1", optCacheMaxFile)}
	}
	if o.disabled && o.sized != "" {
		return o, nil, &logdriver.OptionError{Driver: driver, Option: o.sized, Reason: fmt.Sprintf("has no effect with %s=true", optCacheDisabled)}
	}
	return o, rest, nil
}

// set parses one option. It returns what is wrong with its text, or "".
func (o *cacheOptions) set(name, text string) (reason string) {
	var err error
	switch name {
	case optCacheMaxSize:
		if o.maxSize, err = units.RAMInBytes(text); err != nil || o.maxSize <= 0 {
			return fmt.Sprintf("%q is not a size greater than 0, such as 512k or 20m", text)
		}
	case optCacheMaxFile:
		if o.maxFile, err = strconv.Atoi(text); err != nil || o.maxFile < 1 {
			return fmt.Sprintf("%q is not a number of 1 or more", text)
		}
	default:
		target := &o.disabled
		if name == optCacheCompress {
			target = &o.compress
		}
		if *target, err = strconv.ParseBool(text); err != nil {
			return fmt.Sprintf("%q is neither true nor false", text)
		}
	}
	return ""
}

// checkUse refuses options of a cache that there is none of. canRead is what the
// driver's Capability says.
func (o *cacheOptions) checkUse(driver string, canRead, configured bool) error {
	reason := ""
	switch {
	case o.sized == "":
		return nil
	case canRead:
		reason = "is for drivers that cannot read; this one can, and has no cache"
	case !configured:
		reason = "has no effect: this program keeps no cache of logs"
	default:
		return nil
	}
	return &logdriver.OptionError{Driver: driver, Option: o.sized, Reason: reason}
}

// withHostOptions adds the host's options to an error of a driver about one that it
// does not know: the user may have meant one of these.
func withHostOptions(err error) error {
	var e *logdriver.OptionError
	if !errors.As(err, &e) || len(e.Known) == 0 {
		return err
	}
	for _, o := range slices.Concat(LoggerOptions(), CacheOptions()) {
		e.Known = append(e.Known, o.Name)
	}
	if near := nearest(e.Option, e.Known); near != "" {
		e.Nearest = near
	}
	return e // the text of what it is wrapped in is fixed
}
