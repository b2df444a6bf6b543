package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// growth is what was measured at one point.
type growth struct {
	Point string `json:"point"`
	*report
}

// growthTitles are the headings of what growth is measured of.
var growthTitles = map[string]string{
	"keys":   "With the number of keys",
	"conns":  "With the number of connections",
	"values": "With the size of values",
}

// measureGrowth measures how figures change with one thing.
func measureGrowth(ctx context.Context, s settings, of string) (*report, error) {
	r := newReport(s)
	r.GrowthOf = of
	dir, err := os.MkdirTemp("", "mld-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	base, err := root()
	if err != nil {
		return nil, err
	}
	s.bin = filepath.Join(dir, "mld")
	if err := buildCommand(base, s.bin); err != nil {
		return nil, err
	}
	if len(s.peers) == 0 {
		s.peers = []string{"Pebble in process", mldName, "Redis"}
	}
	add := func(point string, s settings, loads []workload) error {
		all := slices.DeleteFunc(peers(), func(p peer) bool {
			return strings.Contains(p.name(), "unix") || strings.Contains(p.name(), "LevelDB") || strings.Contains(p.name(), "at least once") || strings.Contains(p.name(), "cache")
		})
		at, err := measurePeers(ctx, s, all, loads)
		if err != nil {
			return fmt.Errorf("%s: %w", point, err)
		}
		r.Growth = append(r.Growth, growth{point, at})
		return nil
	}
	named := func(ids ...string) []workload {
		return slices.DeleteFunc(workloads(), func(w workload) bool { return !slices.Contains(ids, w.id) })
	}
	switch of {
	case "keys":
		for _, keys := range []int{10_000, 1_000_000, 20_000_000} {
			s.keys = keys
			s.cache = max(s.cache, 4*int64(keys)*int64(keyLen+s.valueSize))
			if err := add(fmt.Sprintf("keys: %d", keys), s, named("get", "get-shared", "scan", "put")); err != nil {
				return nil, err
			}
		}
	case "conns":
		for _, conns := range []int{1, 10, 100, 1000, 5000} {
			loads := []workload{
				{id: "get", title: "get, 1 in flight each", op: opGet, inFlight: 1, conns: conns},
				{id: "put", title: "put, not synced, 1 in flight each", op: opPut, inFlight: 1, conns: conns},
			}
			if err := add(fmt.Sprintf("connections: %d", conns), s, loads); err != nil {
				return nil, err
			}
		}
	case "values":
		const most = 256 << 20 // of all values
		keys := s.keys
		for _, size := range []int{10, 100, 1 << 10, 10 << 10, 64 << 10} {
			s.valueSize, s.keys = size, min(keys, most/size)
			if err := add(fmt.Sprintf("values of %d B, %d keys", size, s.keys), s, named("get", "get-shared", "scan", "put")); err != nil {
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("-growth %s: it is keys, conns or values", of)
	}
	return r, nil
}

// writeGrowth writes one table for each workload, with a line for each point, and
// one of the memory.
func (r *report) writeGrowth(w *bytes.Buffer) {
	fmt.Fprintf(w, "medians of %d rounds of %s, with the least and the most.\n", r.Rounds, r.Each)
	if len(r.Growth) == 0 {
		return
	}
	for _, load := range r.Growth[0].Workloads {
		var names []string
		for _, p := range load.Peers {
			if slices.ContainsFunc(r.Growth, func(g growth) bool { return g.workload(load.ID).figures(p.Name) != nil }) {
				names = append(names, p.Name)
			}
		}
		fmt.Fprintf(w, "\n#### %s\n\n| %s a second | %s |\n|---|%s\n", load.Title, load.Unit, strings.Join(names, " | "), strings.Repeat("---:|", len(names)))
		for _, g := range r.Growth {
			fmt.Fprintf(w, "| %s |", g.Point)
			for _, name := range names {
				figures := g.workload(load.ID).figures(name)
				if figures == nil {
					fmt.Fprint(w, " |")
					continue
				}
				s := spreadOf(figures)
				fmt.Fprintf(w, " %s (%s–%s) |", short(s.median), short(s.least), short(s.most))
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintf(w, "\n#### memory of the server process at the end\n\n| |")
	for _, m := range r.Growth[0].Memory {
		fmt.Fprintf(w, " %s |", m.Name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", len(r.Growth[0].Memory)))
	for _, g := range r.Growth {
		fmt.Fprintf(w, "| %s |", g.Point)
		for _, m := range g.Memory {
			fmt.Fprintf(w, " %.0f MiB |", float64(m.Bytes)/(1<<20))
		}
		fmt.Fprintln(w)
	}
}
