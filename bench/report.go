package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
)

// results are the figures of all workloads, one list for each peer.
type results struct {
	workloads []workload
	figures   [][][]float64
}

func (r *results) add(w workload, figures [][]float64) {
	r.workloads = append(r.workloads, w)
	r.figures = append(r.figures, figures)
}

// print writes the results as a Markdown table: the median, and behind it the
// spread, in operations (of a scan: entries, of a batch: its puts) per second.
func (r *results) print(w io.Writer, peers []string, s settings, rounds int) {
	fmt.Fprintf(w, "%s, %d CPUs, %s/%s; %d entries, keys of 16 bytes, values of %d; %d rounds of %s, median (least–most), per second\n\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, s.keys, s.valueSize, rounds, s.time)
	fmt.Fprintf(w, "| | %s |\n|---|%s\n", strings.Join(peers, " | "), strings.Repeat("---|", len(peers)))
	for i, wl := range r.workloads {
		fmt.Fprintf(w, "| %s |", wl.name)
		for _, figures := range r.figures[i] {
			if len(figures) == 0 {
				fmt.Fprint(w, " – |")
				continue
			}
			mid, least, most := median(figures)
			fmt.Fprintf(w, " %s (%s–%s) |", short(mid), short(least), short(most))
		}
		fmt.Fprintln(w)
	}
}

// short writes a figure with three digits.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gk", v/1e3)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
