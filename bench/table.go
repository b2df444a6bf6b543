package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// comparisons are the pairs that the first table has: how much one peer does of
// what another one does.
var comparisons = []struct{ workload, one, other string }{
	{"get", mldName, "Redis"},
	{"get", mldName, "Pebble in process"},
	{"get-zipf", mldName, "Redis"},
	{"get-zipf", mldName, "Pebble in process"},
	{"get", mldName, "mld, no value cache"},
	{"get-zipf", mldName, "mld, no value cache"},
	{"get-shared", mldName, "Pebble in process"},
	{"get-shared", mldName, "grpc-go over Pebble"},
	{"get-one", mldName, "raw echo"},
	{"get-one", "mld, unix socket", "raw echo, unix socket"},
	{"get-one", mldName, "Redis"},
	{"get-one-client", mldName, "raw echo"},
	{"get-one-client", "mld, unix socket", "raw echo, unix socket"},
	{"get-1000-conns", mldName, "Redis"},
	{"scan", mldName, "Pebble in process"},
	{"scan", "mld, no value cache", "Pebble in process"},
	{"scan-reverse", mldName, "Pebble in process"},
	{"scan-reverse", "mld, no value cache", "Pebble in process"},
	{"scan-keys", mldName, "Pebble in process"},
	{"mixed-95", mldName, "Redis"},
	{"mixed-50", mldName, "Redis"},
	{"put", mldName, "Redis"},
	{"put", mldName, "mld, at least once"},
	{"put-sync", mldName, "Redis"},
	{"put-sync", mldName, "Pebble in process"},
	{"get", "many-level on mld", "many-level on classic-level"},
	{"put", "many-level on mld", "many-level on classic-level"},
	{"scan", "many-level on mld", "many-level on classic-level"},
	{"get", "multileveldown on mld", "multileveldown on leveldown"},
	{"put", "multileveldown on mld", "multileveldown on leveldown"},
	{"scan", "multileveldown on mld", "multileveldown on leveldown"},
}

// writeTables writes the report in Markdown, with the charts of a folder unless
// that is empty.
func (r *report) writeTables(out io.Writer, figures string) error {
	var w bytes.Buffer
	if r.GrowthOf != "" {
		fmt.Fprintf(&w, "### %s\n\n", growthTitles[r.GrowthOf])
	}
	fmt.Fprintf(&w, "%s, %d CPUs, %s, %s; ", r.Time.Format("2006-01-02"), r.CPUs, r.System, r.Go)
	if r.Serve != "" {
		fmt.Fprintf(&w, "`mld serve %s`; ", r.Serve)
	}
	switch {
	case r.GrowthOf != "":
		r.writeGrowth(&w)
	case len(r.Beside) > 0:
		r.writeBeside(&w)
	case r.Failover != nil:
		r.Failover.write(&w)
	default:
		fmt.Fprintf(&w, "%d entries, keys of %d bytes, values of %d; medians of %d rounds of %s, with the least and the most.\n",
			r.Keys, keyLen, r.ValueSize, r.Rounds, r.Each)
		r.writeComparisons(&w)
		r.writeMemory(&w, figures)
		r.writeOverview(&w)
		for i := range r.Workloads {
			r.Workloads[i].write(&w, figures)
		}
	}
	_, err := out.Write(w.Bytes())
	return err
}

func (r *report) writeComparisons(w io.Writer) {
	var rows strings.Builder
	for _, c := range comparisons {
		load := r.workload(c.workload)
		a, b := load.figures(c.one), load.figures(c.other)
		ratio, ok := ratios(a, b)
		if !ok {
			continue
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s | **%.2f** (%.2f–%.2f) |\n", load.Title,
			c.one, short(spreadOf(a).median), c.other, short(spreadOf(b).median), ratio.median, ratio.least, ratio.most)
	}
	if rows.Len() > 0 {
		fmt.Fprintf(w, "\n### In short\n\nMedians; the ratio is taken within each round.\n\n"+
			"| | | a second | beside | a second | ratio |\n|---|---|---:|---|---:|---:|\n%s", rows.String())
	}
}

func (r *report) writeMemory(w io.Writer, figures string) {
	if len(r.Memory) == 0 {
		return
	}
	fmt.Fprint(w, "\n### memory of the server process at the end\n\n| | resident | of Redis's |\n|---|---:|---:|\n")
	var redis int64
	for _, m := range r.Memory {
		if m.Name == "Redis" {
			redis = m.Bytes
		}
	}
	for _, m := range r.Memory {
		ratio := ""
		if redis > 0 {
			ratio = fmt.Sprintf("%.2f", float64(m.Bytes)/float64(redis))
		}
		fmt.Fprintf(w, "| %s | %.0f MiB | %s |\n", m.Name, float64(m.Bytes)/(1<<20), ratio)
	}
	if figures != "" {
		fmt.Fprintf(w, "\n![memory](%s/memory.svg)\n", figures)
	}
}

// writeOverview writes the medians of all peers in all workloads.
func (r *report) writeOverview(w io.Writer) {
	if len(r.Workloads) < 2 {
		return
	}
	fmt.Fprint(w, "\n### All medians, per second\n\n| |")
	for _, p := range r.Workloads[0].Peers {
		fmt.Fprintf(w, " %s |", p.Name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", len(r.Workloads[0].Peers)))
	for _, load := range r.Workloads {
		fmt.Fprintf(w, "| %s |", load.Title)
		for _, p := range load.Peers {
			if len(p.PerSecond) == 0 {
				fmt.Fprint(w, " |")
				continue
			}
			fmt.Fprintf(w, " %s |", short(spreadOf(p.PerSecond).median))
		}
		fmt.Fprintln(w)
	}
}

func (l *workloadResult) write(w io.Writer, figures string) {
	fmt.Fprintf(w, "\n### %s\n\n", l.Title)
	if l.Note != "" {
		fmt.Fprintf(w, "%s\n\n", l.Note)
	}
	fmt.Fprintf(w, "| | %s a second | least–most | mld does |\n|---|---:|---:|---:|\n", l.Unit)
	for _, p := range l.Peers {
		if len(p.PerSecond) == 0 {
			continue
		}
		s := spreadOf(p.PerSecond)
		ratio := ""
		if of, ok := ratios(l.figures(mldName), p.PerSecond); ok && p.Name != mldName {
			ratio = fmt.Sprintf("%.2f ×", of.median)
		}
		fmt.Fprintf(w, "| %s | %s | %s–%s | %s |\n", p.Name, short(s.median), short(s.least), short(s.most), ratio)
	}
	if figures != "" {
		fmt.Fprintf(w, "\n![%s](%s/%s.svg)\n", l.Title, figures, l.ID)
	}
}

// short writes a figure with three digits.
func short(v float64) string {
	switch {
	case v >= 999.5e3:
		return digits(v/1e6) + "M"
	case v >= 999.5:
		return digits(v/1e3) + "k"
	default:
		return digits(v)
	}
}

func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// section is the name of the part of a document that the report is written into.
func (r *report) section() string {
	switch {
	case r.GrowthOf != "":
		return "growth-" + r.GrowthOf
	case len(r.Beside) > 0:
		return "beside"
	case r.Failover != nil:
		return "failover"
	}
	return "figures"
}

// writeInto writes the report into a document, between the marks of its section,
// and its charts into the folder figures beside it.
func (r *report) writeInto(file string) error {
	const folder = "figures"
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var section bytes.Buffer
	if err := r.writeTables(&section, folder); err != nil {
		return err
	}
	text, err = replaceSection(text, r.section(), section.Bytes())
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := r.writeCharts(filepath.Join(filepath.Dir(file), folder)); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// replaceSection puts new text between the marks of a section.
func replaceSection(text []byte, name string, section []byte) ([]byte, error) {
	begin, end := fmt.Sprintf("<!-- %s: begin -->\n", name), fmt.Sprintf("<!-- %s: end -->\n", name)
	head, rest, ok := bytes.Cut(text, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, fmt.Errorf("it has no lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return bytes.Join([][]byte{head, []byte(begin), section, []byte(end), tail}, nil), nil
}
