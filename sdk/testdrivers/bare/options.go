package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

var description = &pb.DescribeResponse{
	Name: "bare", Version: "1.0.0", Summary: "Keeps logs in files, without the sdk",
	ProtocolMin: 1, ProtocolMax: 1,
	Capability: &pb.Capability{ReadLogs: true},
	Options: []*pb.Option{
		{Name: "account", Type: "string", Required: true, Help: "whose logs these are"},
		{Name: "token", Type: "string", Secret: true, Help: "what the account is protected with"},
		{Name: "copies", Type: "int", Default: "1", Help: "how many copies to keep"},
		{Name: "buffer-size", Type: "size", Default: "64k", Help: "how much to write at once"},
		{Name: "interval", Type: "duration", Default: "1s", Help: "how long to wait for more"},
		{Name: "speed", Type: "enum", Values: []string{"fast", "slow"}, Default: "fast", Help: "how to write"},
		{Name: "verbose", Type: "bool", Default: "false", Help: "whether to say more"},
		{Name: "ratio", Type: "float", Default: "0.5", Help: "how much to keep"},
		{Name: "match", Type: "regexp", Help: "what to keep"},
		{Name: "tags", Type: "list", Default: "a,b", Help: "what to add"},
	},
}

// describe prints the description.
func describe(out io.Writer) int {
	type option struct {
		Name     string   `json:"name"`
		Type     string   `json:"type"`
		Default  string   `json:"default,omitempty"`
		Values   []string `json:"values,omitempty"`
		Required bool     `json:"required,omitempty"`
		Secret   bool     `json:"secret,omitempty"`
		Help     string   `json:"help"`
	}
	options := make([]option, 0, len(description.Options))
	for _, o := range description.Options {
		options = append(options, option{o.Name, o.Type, o.Default, o.Values, o.Required, o.Secret, o.Help})
	}
	err := json.NewEncoder(out).Encode(map[string]any{
		"name": description.Name, "version": description.Version, "summary": description.Summary,
		"protocol":   map[string]int32{"min": description.ProtocolMin, "max": description.ProtocolMax},
		"capability": map[string]bool{"readLogs": description.Capability.ReadLogs},
		"options":    options,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "print the description:", err)
		return 1
	}
	return 0
}

// checkOptions refuses what Open must not take.
func checkOptions(config map[string]string) error {
	for name := range config {
		if !slices.ContainsFunc(description.Options, func(o *pb.Option) bool { return o.Name == name }) {
			return optionError(&pb.Error{Option: name, Reason: "no such option", Nearest: nearest(name), Known: known()})
		}
	}
	for _, o := range description.Options {
		text, given := config[o.Name]
		switch {
		case o.Required && text == "":
			return optionError(&pb.Error{Option: o.Name, Reason: "is required"})
		case given && !valid(o, text):
			return optionError(&pb.Error{Option: o.Name, Reason: "is no " + o.Type})
		}
	}
	return nil
}

var (
	sizes     = regexp.MustCompile(`(?i)^\d+(\.\d+)? ?(b|[kmgtp](i?b)?)?$`)
	durations = regexp.MustCompile(`^[+-]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+$`)
)

func valid(o *pb.Option, text string) bool {
	var err error
	switch o.Type {
	case "int":
		_, err = strconv.ParseInt(text, 10, 64)
	case "float":
		_, err = strconv.ParseFloat(text, 64)
	case "bool":
		_, err = strconv.ParseBool(text)
	case "regexp":
		_, err = regexp.Compile(text)
	case "size":
		return sizes.MatchString(text)
	case "duration":
		return durations.MatchString(text)
	case "enum":
		return slices.Contains(o.Values, text)
	}
	return err == nil
}

func known() (names []string) {
	for _, o := range description.Options {
		names = append(names, o.Name)
	}
	return names
}

// nearest returns the option that begins most like name.
func nearest(name string) (best string) {
	most := 1
	for _, k := range known() {
		n := 0
		for n < len(name) && n < len(k) && name[n] == k[n] {
			n++
		}
		if n > most {
			most, best = n, k
		}
	}
	return best
}

func optionError(e *pb.Error) error {
	e.Kind = pb.Error_KIND_OPTION
	return failure(codes.InvalidArgument, e, fmt.Sprintf("option %q: %s", e.Option, e.Reason))
}

// failure makes an error of a kind that hosts recognise.
func failure(code codes.Code, e *pb.Error, text string) error {
	st, err := status.New(code, text).WithDetails(e)
	if err != nil {
		return status.Error(code, text)
	}
	return st.Err()
}

func unknownLogger(id uint64) error {
	return failure(codes.NotFound, &pb.Error{Kind: pb.Error_KIND_UNKNOWN_LOGGER}, fmt.Sprintf("no logger %d is open: open it again", id))
}
