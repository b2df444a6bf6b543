package main

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// bar is one bar of a chart, with a whisker from the least to the most.
type bar struct {
	label string
	spread
	text string
	ours bool
}

// The measures of a chart, in pixels.
const (
	chartWidth = 760
	labelWidth = 220
	textWidth  = 110
	rowHeight  = 26
	headHeight = 34
)

// chartStyle is readable on white and on black: a chart has no ground of its own.
const chartStyle = `text { font: 13px system-ui, sans-serif; fill: #333 }
.title { font-weight: 600 }
.bar { fill: #9aa7b4 } .ours { fill: #2f81f7 }
.whisker { stroke: #333; stroke-width: 1.5 }
.axis { stroke: #888; stroke-width: 1 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .bar { fill: #6e7a87 } .ours { fill: #58a6ff } .whisker { stroke: #ddd } }
`

// chart draws bars, one below the other, from 0 to the greatest figure.
func chart(title string, bars []bar) []byte {
	most := 0.0
	for _, b := range bars {
		most = max(most, b.most, b.median)
	}
	scale := (chartWidth - labelWidth - textWidth) / max(most, 1)
	height := headHeight + rowHeight*len(bars) + 8
	var w bytes.Buffer
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&w, "<title>%s</title>\n<style>\n%s</style>\n", html.EscapeString(title), chartStyle)
	fmt.Fprintf(&w, `<text class="title" x="0" y="18">%s</text>`+"\n", html.EscapeString(title))
	fmt.Fprintf(&w, `<line class="axis" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", labelWidth, headHeight-4, labelWidth, height-4)
	for i, b := range bars {
		y := headHeight + rowHeight*i
		class := "bar"
		if b.ours {
			class = "bar ours"
		}
		x := func(v float64) float64 { return labelWidth + v*scale }
		fmt.Fprintf(&w, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+15, html.EscapeString(b.label))
		fmt.Fprintf(&w, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`, class, labelWidth, y+2, b.median*scale, rowHeight-8)
		if b.most > b.least {
			middle := float64(y) + 2 + (rowHeight-8)/2.0
			fmt.Fprintf(&w, `<path class="whisker" fill="none" d="M%.1f %.1fV%.1fM%.1f %.1fH%.1fM%.1f %.1fV%.1f"/>`,
				x(b.least), middle-4, middle+4, x(b.least), middle, x(b.most), x(b.most), middle-4, middle+4)
		}
		fmt.Fprintf(&w, `<text x="%.1f" y="%d">%s</text>`+"\n", x(max(b.median, b.most))+6, y+15, html.EscapeString(b.text))
	}
	w.WriteString("</svg>\n")
	return w.Bytes()
}

// writeCharts writes one chart for each workload, and one of the memory.
func (r *report) writeCharts(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, load := range r.Workloads {
		var bars []bar
		for _, p := range load.Peers {
			if len(p.PerSecond) == 0 {
				continue
			}
			s := spreadOf(p.PerSecond)
			bars = append(bars, bar{p.Name, s, short(s.median), isOurs(p.Name)})
		}
		title := fmt.Sprintf("%s: %s a second", load.Title, load.Unit)
		if err := os.WriteFile(filepath.Join(dir, load.ID+".svg"), chart(title, bars), 0o644); err != nil {
			return err
		}
	}
	if len(r.Memory) == 0 {
		return nil
	}
	var bars []bar
	for _, m := range r.Memory {
		mib := float64(m.Bytes) / (1 << 20)
		bars = append(bars, bar{m.Name, spread{median: mib}, fmt.Sprintf("%.0f MiB", mib), isOurs(m.Name)})
	}
	return os.WriteFile(filepath.Join(dir, "memory.svg"), chart("memory of the server process at the end", bars), 0o644)
}

// isOurs reports whether a peer is this project, at one end at least.
func isOurs(peer string) bool {
	return strings.HasPrefix(peer, mldName) || strings.HasSuffix(peer, " on "+mldName)
}
