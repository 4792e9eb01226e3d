package cli

import (
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// color is the parameter of a terminal's SGR sequence, see ECMA-48; 0 for none.
type color string

const (
	bold   color = "1"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// cell is one cell of a table.
type cell struct {
	text  string
	color color
}

// table is aligned text. The last column is not padded.
type table struct {
	colored bool
	rows    [][]cell
}

// columnGap is the number of spaces between columns.
const columnGap = 2

// newTable returns a table with a header.
func (a *app) newTable(header ...string) *table {
	t := &table{colored: colored(a.stdout)}
	row := make([]cell, len(header))
	for i, h := range header {
		row[i] = cell{h, bold}
	}
	t.add(row...)
	return t
}

// colored tells whether colours are welcome in f, see no-color.org.
func colored(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// plain makes cells without colour.
func plain(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, t := range texts {
		row[i] = cell{text: t}
	}
	return row
}

func (t *table) add(row ...cell) {
	for i := range row {
		row[i].text = oneLine(row[i].text)
	}
	t.rows = append(t.rows, row)
}

// String lays the table out.
func (t *table) String() string {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		for i, c := range row {
			t.write(&b, c)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+columnGap))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (t *table) write(b *strings.Builder, c cell) {
	if !t.colored || c.color == "" {
		b.WriteString(c.text)
		return
	}
	b.WriteString("\x1b[" + string(c.color) + "m" + c.text + "\x1b[0m")
}
