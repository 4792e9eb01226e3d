package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// format is the form of a command's output.
type format string

const (
	formatText format = "text"
	formatJSON format = "json"
)

// String, Set and Type implement pflag.Value.
func (f *format) String() string { return string(*f) }

// Set accepts the formats' names.
func (f *format) Set(text string) error {
	switch v := format(strings.ToLower(text)); v {
	case formatText, formatJSON:
		*f = v
		return nil
	}
	return fmt.Errorf("want %s or %s", formatText, formatJSON)
}

// Type is shown in the help.
func (f *format) Type() string { return "text|json" }

// addFormat gives cmd the flag --output.
func addFormat(cmd *cobra.Command) *format {
	f := formatText
	cmd.Flags().VarP(&f, "output", "o", "form of the output")
	mustComplete(cmd, "output", cobra.FixedCompletions([]string{string(formatText), string(formatJSON)}, cobra.ShellCompDirectiveNoFileComp))
	return &f
}

// mustComplete registers the completion of a flag. It fails only for flags that
// are not there, which is a mistake in this package.
func mustComplete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err)
	}
}

// writeLine writes v as JSON on one line.
func writeLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return quietPipe(enc.Encode(v))
}

// writeJSON writes v, indented, as text for humans too.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return quietPipe(enc.Encode(v))
}
