package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// report is what was measured.
type report struct {
	Go        string        `json:"go"`
	CPUs      int           `json:"cpus"`
	System    string        `json:"system"`
	Time      time.Time     `json:"time"`
	Keys      int           `json:"keys"`
	ValueSize int           `json:"value_bytes"`
	Rounds    int           `json:"rounds"`
	Each      time.Duration `json:"each_ns"`
	Serve     string        `json:"serve,omitempty"` // further flags of mld serve

	Workloads []workloadResult `json:"workloads,omitempty"`
	Memory    []memory         `json:"memory,omitempty"`

	// Growth has one report for each point, if it was growth that was measured,
	// and GrowthOf says of what: keys, conns or values.
	GrowthOf string   `json:"growth_of,omitempty"`
	Growth   []growth `json:"growth,omitempty"`

	// Beside has the calls of a quiet client, if that is what was measured.
	Beside []besideResult `json:"beside,omitempty"`

	// Failover is what was measured of parties, if it was that.
	Failover *failover `json:"failover,omitempty"`
}

type workloadResult struct {
	ID    string       `json:"id"`
	Title string       `json:"title"`
	Note  string       `json:"note,omitempty"`
	Unit  string       `json:"unit"`
	Peers []peerResult `json:"peers"`
}

// peerResult has one figure for each round, or none where the peer cannot do it.
type peerResult struct {
	Name      string    `json:"name"`
	PerSecond []float64 `json:"per_second,omitempty"`
}

// memory is the resident memory of a server at the end.
type memory struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

func newReport(s settings) *report {
	return &report{
		Go: runtime.Version(), CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Time: time.Now().UTC().Truncate(time.Second),
		Keys: s.keys, ValueSize: s.valueSize, Rounds: s.rounds, Each: s.time, Serve: s.serve,
	}
}

func readReport(file string) (*report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &r, nil
}

func (r *report) writeJSON(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func (r *report) workload(id string) *workloadResult {
	i := slices.IndexFunc(r.Workloads, func(w workloadResult) bool { return w.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Workloads[i]
}

// figures returns those of a peer, nil where it has none.
func (w *workloadResult) figures(peer string) []float64 {
	if w == nil {
		return nil
	}
	i := slices.IndexFunc(w.Peers, func(p peerResult) bool { return p.Name == peer })
	if i < 0 {
		return nil
	}
	return w.Peers[i].PerSecond
}

// spread is the median of figures, and the least and greatest of them.
type spread struct{ median, least, most float64 }

// spreadOf returns the spread of figures, of which there must be some.
func spreadOf(figures []float64) spread {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// ratios returns the spread of how much a was of b, round by round: what the
// machine did in a round, it did to both.
func ratios(a, b []float64) (spread, bool) {
	n := min(len(a), len(b))
	if n == 0 {
		return spread{}, false
	}
	each := make([]float64, n)
	for i := range each {
		each[i] = a[i] / b[i]
	}
	return spreadOf(each), true
}
