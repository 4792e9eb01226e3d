package host

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/shared/logdriver"
)

// The options of a logger that the host itself takes out of Info.Config. Their
// names are those that users of container engines know.
const (
	optMode          = "mode"            // blocking or non-blocking
	optMaxBufferSize = "max-buffer-size" // the spool's bound, with mode=non-blocking
	optDrop          = "drop"            // newest or oldest, with mode=non-blocking
)

const (
	modeBlocking    = "blocking"
	modeNonBlocking = "non-blocking"
	dropNewest      = "newest"
	dropOldest      = "oldest"

	// defaultBufferBytes bounds the spool of a logger in non-blocking mode.
	defaultBufferBytes = 1 << 20
	// minBufferBytes is the least that it may be bounded to.
	minBufferBytes = 4 << 10
)

// overflow says what becomes of messages for which the spool has no room.
type overflow struct {
	drop  string // empty: Log waits
	bytes int    // the bound of the logger's spool
	// patience is for how long dropping waits for a driver that makes no progress.
	patience time.Duration
}

// hostOptions describes the options above.
func hostOptions() []logdriver.Option {
	return []logdriver.Option{
		{
			Name: optMode, Type: logdriver.TypeEnum, Values: []string{modeBlocking, modeNonBlocking}, Default: modeBlocking,
			Help: "whether logging waits for room in the spool or drops messages",
		},
		{
			Name: optMaxBufferSize, Type: logdriver.TypeSize, Default: "1m",
			Help: "size of the spool with mode=non-blocking",
		},
		{
			Name: optDrop, Type: logdriver.TypeEnum, Values: []string{dropNewest, dropOldest}, Default: dropNewest,
			Help: "what is dropped when it is full, with mode=non-blocking",
		},
	}
}

// takeOverflow takes the host's options out of config, and returns what is the
// driver's.
func takeOverflow(driver string, config map[string]string, loggerBytes int) (overflow, map[string]string, error) {
	o := overflow{bytes: loggerBytes}
	rest := maps.Clone(config)
	for _, opt := range hostOptions() {
		delete(rest, opt.Name)
	}
	refuse := func(option, reason string) (overflow, map[string]string, error) {
		return o, nil, &logdriver.OptionError{Driver: driver, Option: option, Reason: reason}
	}
	switch mode := config[optMode]; mode {
	case "", modeBlocking:
		for _, option := range []string{optMaxBufferSize, optDrop} {
			if _, ok := config[option]; ok {
				return refuse(option, "is for mode=non-blocking only")
			}
		}
		return o, rest, nil
	case modeNonBlocking:
		o.drop, o.bytes = dropNewest, defaultBufferBytes
	default:
		return refuse(optMode, fmt.Sprintf("%q is not a mode; use blocking or non-blocking", mode))
	}
	if size, ok := config[optMaxBufferSize]; ok {
		n, err := units.RAMInBytes(size)
		if err != nil || n < minBufferBytes || int64(int(n)) != n {
			return refuse(optMaxBufferSize, fmt.Sprintf("%q is not a size of 4k or more, such as 512k or 4m", size))
		}
		o.bytes = int(n)
	}
	switch drop, ok := config[optDrop]; {
	case ok && drop != dropNewest && drop != dropOldest:
		return refuse(optDrop, fmt.Sprintf("%q is not a policy; use newest or oldest", drop))
	case ok:
		o.drop = drop
	}
	return o, rest, nil
}

// restore adds the options that o was made of to config.
func (o overflow) restore(config map[string]string) map[string]string {
	if o.drop == "" {
		return config
	}
	config = maps.Clone(config)
	if config == nil {
		config = make(map[string]string)
	}
	config[optMode], config[optDrop], config[optMaxBufferSize] = modeNonBlocking, o.drop, strconv.Itoa(o.bytes)
	return config
}

// dropSource is the Source of the messages that tell of drops.
const dropSource = "logplug"

// gap is what was dropped and not yet told of in the stream.
type gap struct {
	counter
	after uint64 // the sequence before it
}

// marker makes the message that tells of g. It must be put back.
func (g *gap) marker(before uint64) *logdriver.Message {
	m := logdriver.NewMessage()
	m.Source = dropSource
	m.Line = fmt.Appendf(m.Line, "logplug: %d messages (%d bytes) were dropped here, between sequences %d and %d: the spool was full",
		g.messages, g.bytes, g.after, before)
	m.Attrs = append(m.Attrs,
		logdriver.Attr{Key: "logplug.dropped.messages", Value: strconv.FormatUint(g.messages, 10)},
		logdriver.Attr{Key: "logplug.dropped.bytes", Value: strconv.FormatUint(g.bytes, 10)})
	normalize(m)
	return m
}
