package sdk

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/logplug/logplug/shared/logdriver"
)

// DefaultTag is the template of a Tag that was not given.
const DefaultTag = "{{.ID}}"

// Tag adds the option "tag" to a struct that embeds it: a template for the name
// under which a sink files the messages. It sees the methods and fields of
// logdriver.Info and, beside those of text/template, the functions json,
// split, join, title, lower, upper, pad and truncate.
type Tag struct {
	// TagTemplate is nil if the option was not given.
	TagTemplate *template.Template `logplug:"tag" help:"Template for the tag of messages; {{.ID}} if not given"`
}

// IsSet tells whether the user gave a tag.
func (t *Tag) IsSet() bool { return t.TagTemplate != nil }

// Render returns the tag of a source of logs, that of DefaultTag if the user
// gave none. The error is a *logdriver.OptionError.
func (t *Tag) Render(info *logdriver.Info) (string, error) {
	if t.TagTemplate == nil {
		return info.ID(), nil
	}
	var b strings.Builder
	if err := t.TagTemplate.Execute(&b, info); err != nil {
		return "", &logdriver.OptionError{Option: "tag", Reason: fmt.Sprintf("the template fails: %v", err)}
	}
	return b.String(), nil
}

// AppendTag appends the attribute "tag" to attrs if the user gave a tag. The error is a
// *logdriver.OptionError.
func (t *Tag) AppendTag(attrs []logdriver.Attr, info *logdriver.Info) ([]logdriver.Attr, error) {
	if !t.IsSet() {
		return attrs, nil
	}
	tag, err := t.Render(info)
	if err != nil {
		return nil, err
	}
	return append(attrs, logdriver.Attr{Key: "tag", Value: tag}), nil
}
