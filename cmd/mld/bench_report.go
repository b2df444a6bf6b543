package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/multileveldown/mld/internal/workload"
)

// benchReport is what mld bench writes. Times are in seconds, sizes in bytes.
type benchReport struct {
	Store     string          `json:"store"`
	Workloads []benchWorkload `json:"workloads"`
}

type benchWorkload struct {
	Workload   string           `json:"workload"`
	Seconds    float64          `json:"seconds"`
	Rate       float64          `json:"rate,omitempty"`
	Unstarted  int64            `json:"unstarted,omitempty"`
	Operations []benchOperation `json:"operations"`
	Error      string           `json:"error,omitempty"`

	result *workload.Result
}

type benchOperation struct {
	Operation           string       `json:"operation"`
	Operations          int64        `json:"operations"`
	OperationsPerSecond float64      `json:"operations_per_second"`
	EntriesPerSecond    float64      `json:"entries_per_second"`
	BytesPerSecond      float64      `json:"bytes_per_second"`
	Errors              int64        `json:"errors"`
	NotFound            int64        `json:"not_found"`
	LatencySeconds      benchLatency `json:"latency_seconds"`
}

type benchLatency struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func (r *benchReport) add(result *workload.Result, rate float64) {
	w := benchWorkload{
		Workload: result.Workload, Seconds: result.Elapsed.Seconds(), Rate: rate, Unstarted: result.Unstarted, result: result,
	}
	if result.Err != nil {
		w.Error = result.Err.Error()
	}
	perSecond := func(n int64) float64 { return float64(n) / w.Seconds }
	for _, o := range result.Operations {
		l := o.Latency
		w.Operations = append(w.Operations, benchOperation{
			Operation:           o.Kind.String(),
			Operations:          o.Count,
			OperationsPerSecond: perSecond(o.Count),
			EntriesPerSecond:    perSecond(o.Entries),
			BytesPerSecond:      perSecond(o.Bytes),
			Errors:              o.Errors,
			NotFound:            o.NotFound,
			LatencySeconds: benchLatency{
				Min: l.Min.Seconds(), Mean: l.Mean.Seconds(), P50: l.P50.Seconds(), P90: l.P90.Seconds(),
				P99: l.P99.Seconds(), P999: l.P999.Seconds(), Max: l.Max.Seconds(),
			},
		})
	}
	r.Workloads = append(r.Workloads, w)
}

func (r *benchReport) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(r)
	}
	return r.writeTable(w)
}

func (r *benchReport) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "workload\toperation\tops/s\tentries/s\tMB/s\terrors\tmin\tmean\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, load := range r.Workloads {
		for i, o := range load.Operations {
			fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.1f\t%d\t", load.Workload, o.Operation,
				o.OperationsPerSecond, o.EntriesPerSecond, o.BytesPerSecond/1e6, o.Errors)
			l := load.result.Operations[i].Latency
			for _, d := range [...]time.Duration{l.Min, l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max} {
				fmt.Fprintf(w, "%s\t", shortDuration(d))
			}
			fmt.Fprintln(w)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, load := range r.Workloads {
		for _, o := range load.Operations {
			if o.NotFound > 0 {
				fmt.Fprintf(out, "%s: %d of %d %s operations found no entry\n", load.Workload, o.NotFound, o.Operations, o.Operation)
			}
		}
		if load.Unstarted > 0 {
			fmt.Fprintf(out, "%s: %d operations did not start in time: the store does not keep up with --rate %v\n",
				load.Workload, load.Unstarted, load.Rate)
		}
	}
	return nil
}

// shortDuration returns d with three digits and its unit.
func shortDuration(d time.Duration) string {
	unit, name := time.Nanosecond, "ns"
	switch {
	case d >= time.Second:
		unit, name = time.Second, "s"
	case d >= time.Millisecond:
		unit, name = time.Millisecond, "ms"
	case d >= time.Microsecond:
		unit, name = time.Microsecond, "µs"
	}
	v := float64(d) / float64(unit)
	decimals := 0
	if unit > time.Nanosecond && v < 100 {
		if decimals = 1; v < 10 {
			decimals = 2
		}
	}
	return strconv.FormatFloat(v, 'f', decimals, 64) + name
}

// benchProgress shows on a terminal what mld bench does, on one line.
type benchProgress struct {
	w     io.Writer // nil where it is no terminal
	shown bool
}

func newBenchProgress(w io.Writer) *benchProgress {
	if !isTerminal(w) {
		w = nil
	}
	return &benchProgress{w: w}
}

func (p *benchProgress) show(n workload.Progress) {
	if p.w == nil {
		return
	}
	p.shown = true
	// The end of the line is erased: what was there may have been longer.
	fmt.Fprintf(p.w, "\r%s: ", n.What)
	if n.Total == 0 {
		fmt.Fprintf(p.w, "%d entries\x1b[K", n.Entries)
		return
	}
	fmt.Fprintf(p.w, "%.0f s of %v, %.0f entries/s\x1b[K", n.Elapsed.Seconds(), n.Total, n.EntriesPerSecond)
}

// end erases the line.
func (p *benchProgress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
