package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report collects the lines of the table.
type report struct {
	flags    *flags
	verdicts []verdict
	took     time.Duration
}

func newReport(f *flags) *report { return &report{flags: f} }

func (r *report) add(s *scenario, m *measured) {
	r.verdicts = append(r.verdicts, s.judge(m)...)
	slices.SortStableFunc(r.verdicts, func(a, b verdict) int { return a.row - b.row })
}

// write prints the table, and writes the files that were asked for.
func (r *report) write(f *flags) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	r.table(w, func(cells []string) string { return strings.Join(cells, "\t") })
	if err := w.Flush(); err != nil {
		return err
	}
	if f.markdown != "" {
		if err := writeFile(f.markdown, r.markdown); err != nil {
			return err
		}
	}
	if f.plot != "" {
		return writeFile(f.plot, func(w io.Writer) { plot(w, r.verdicts) })
	}
	return nil
}

func writeFile(path string, content func(io.Writer)) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	content(w)
	if err := w.Flush(); err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return f.Close()
}

// header is that of the table.
var header = []string{"#", "what", "logplug", "against", "ratio", "target", "met"}

func (r *report) table(w io.Writer, line func([]string) string) {
	fmt.Fprintln(w, line(header))
	for i := range r.verdicts {
		fmt.Fprintln(w, line(r.verdicts[i].cells()))
	}
}

func (v *verdict) cells() []string {
	number := fmt.Sprint(v.row)
	if v.failed != "" {
		return []string{number, v.what, "–", v.failed, "–", v.target, "–"}
	}
	met := "no"
	switch {
	case v.info:
		met = ""
	case v.met():
		met = "yes"
	}
	ratio := times(v.ratio)
	if v.info && v.ratio == 0 {
		ratio = "–" // compared with nothing
	}
	return []string{number, v.what, v.ours, v.peer, ratio, v.target, met}
}

// times writes a ratio; small ones as a fraction.
func times(ratio float64) string {
	switch {
	case ratio <= 0:
		return "0"
	case ratio < 0.001:
		return fmt.Sprintf("1/%.0f", 1/ratio)
	case ratio < 0.5:
		return fmt.Sprintf("1/%.3g", 1/ratio)
	}
	return fmt.Sprintf("%.3gx", ratio)
}

func (r *report) markdown(w io.Writer) {
	row := func(cells []string) string {
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		return "| " + strings.Join(cells, " | ") + " |"
	}
	fmt.Fprintf(w, "# Benchmark\n\n%s\n\n", r.conditions())
	fmt.Fprintln(w, row(slices.Clone(header)))
	fmt.Fprintln(w, "|"+strings.Repeat("---|", len(header)))
	for i := range r.verdicts {
		fmt.Fprintln(w, row(r.verdicts[i].cells()))
	}
}

func (r *report) conditions() string {
	return fmt.Sprintf("%s, %s/%s, %d processors; %d rounds, scale %g, %v in all; lines of %d bytes where nothing else is said. "+
		"Medians; contenders in turns, each measurement in fresh processes. CPU is that of all processes.",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), r.flags.rounds, r.flags.scale,
		r.took.Round(time.Second), lineBytes)
}
