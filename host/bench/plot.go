package main

import (
	"fmt"
	"html"
	"io"
	"math"
)

// Measures of the plot in pixels.
const (
	plotLabels   = 430
	plotBars     = 420
	plotValues   = 150
	plotRow      = 24
	plotTop      = 56
	plotWidth    = plotLabels + plotBars + plotValues
	plotDecades  = 2.0 // the axis goes from 1/100 of the target to 100 times
	plotMet      = "#2a7f62"
	plotMissed   = "#b5443c"
	plotFont     = `font-family="sans-serif" font-size="13"`
	plotHeadline = "Results by target: bars to the right of the line meet theirs (logarithmic)"
)

// plot draws how far each row is beyond its target, or short of it.
func plot(w io.Writer, verdicts []verdict) {
	var rows []verdict
	for _, v := range verdicts {
		if !v.info && v.failed == "" {
			rows = append(rows, v)
		}
	}
	height := plotTop + plotRow*len(rows) + plotRow/2
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n",
		plotWidth, height, plotWidth, height)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" fill="white"/><text x="8" y="20" %s font-weight="bold">%s</text>`+"\n", plotFont, plotHeadline)
	for _, by := range []float64{0.01, 0.1, 1, 10, 100} {
		x := plotX(by)
		fmt.Fprintf(w, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#bbb"/><text x="%.1f" y="%d" %s text-anchor="middle" fill="#555">%s</text>`+"\n",
			x, plotTop-8, x, height, x, plotTop-14, plotFont, times(by))
	}
	for i := range rows {
		plotRowOf(w, &rows[i], plotTop+i*plotRow)
	}
	fmt.Fprintln(w, `</svg>`)
}

// plotX returns where on the axis a multiple of the target is.
func plotX(by float64) float64 {
	decades := math.Log10(by)
	if math.IsNaN(decades) {
		decades = 0
	}
	decades = min(max(decades, -plotDecades), plotDecades)
	return plotLabels + plotBars*(decades+plotDecades)/(2*plotDecades)
}

func plotRowOf(w io.Writer, v *verdict, y int) {
	by, colour := v.ratio/v.goal, plotMet
	if v.atMost {
		by = v.goal / v.ratio
	}
	if !v.met() {
		colour = plotMissed
	}
	zero, end := plotX(1), plotX(by)
	fmt.Fprintf(w, `<text x="%d" y="%d" %s text-anchor="end">%d. %s</text>`, plotLabels-10, y+plotRow-8, plotFont, v.row, html.EscapeString(v.what))
	fmt.Fprintf(w, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, min(zero, end), y+4, max(math.Abs(end-zero), 1), plotRow-8, colour)
	fmt.Fprintf(w, `<text x="%d" y="%d" %s>%s (%s)</text>`+"\n", plotLabels+plotBars+10, y+plotRow-8, plotFont, times(v.ratio), html.EscapeString(v.target))
}
