package workload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Kind is what an operation does.
type Kind uint8

// The kinds. A batch is one operation, whatever the number of its entries, and
// so is a scan.
const (
	Get Kind = iota
	Put
	Insert
	Delete
	Batch
	Scan
	ScanReverse
	ReadModifyWrite

	kinds
)

var kindNames = [kinds]string{"get", "put", "insert", "delete", "batch", "scan", "scan-reverse", "read-modify-write"}

func (k Kind) String() string { return kindNames[k] }

// writes reports whether an operation of the kind changes the store.
func (k Kind) writes() bool { return k != Get && k != Scan && k != ScanReverse }

// share is how much of a workload is of a kind.
type share struct {
	kind     Kind
	fraction float64
}

// spec is what a workload does.
type spec struct {
	name         string
	mix          []share // the fractions of all but the last count
	distribution Distribution
	sync         bool
	scanLength   int // of scans of a random length up to this; 0 is Options.ScanLength
}

func specs() []spec {
	only := func(k Kind) []share { return []share{{k, 1}} }
	mix := func(first Kind, fraction float64, other Kind) []share {
		return []share{{first, fraction}, {other, 1 - fraction}}
	}
	return []spec{
		{name: "get", mix: only(Get), distribution: Uniform},
		{name: "put", mix: only(Put), distribution: Uniform},
		{name: "put-sync", mix: only(Put), distribution: Uniform, sync: true},
		{name: "delete", mix: only(Delete), distribution: Uniform},
		{name: "batch", mix: only(Batch), distribution: Uniform},
		{name: "scan", mix: only(Scan), distribution: Uniform},
		{name: "scan-reverse", mix: only(ScanReverse), distribution: Uniform},
		{name: mixed, mix: mix(Get, 0.5, Put), distribution: Uniform},
		{name: "ycsb-a", mix: mix(Get, 0.5, Put), distribution: Zipfian},
		{name: "ycsb-b", mix: mix(Get, 0.95, Put), distribution: Zipfian},
		{name: "ycsb-c", mix: only(Get), distribution: Zipfian},
		{name: "ycsb-d", mix: mix(Get, 0.95, Insert), distribution: Latest},
		{name: "ycsb-e", mix: mix(Scan, 0.95, Insert), distribution: Zipfian, scanLength: 100},
		{name: "ycsb-f", mix: mix(Get, 0.5, ReadModifyWrite), distribution: Zipfian},
	}
}

// mixed is the workload whose fraction of reads is an option.
const mixed = "mixed"

// Names returns the names of all workloads.
func Names() []string {
	var names []string
	for _, s := range specs() {
		names = append(names, s.name)
	}
	return names
}

// Writes reports whether a workload, which exists, changes the store.
func Writes(name string) bool {
	s, err := lookUp(name)
	return err == nil && s.has(Kind.writes)
}

func lookUp(name string) (spec, error) {
	all := specs()
	i := slices.IndexFunc(all, func(s spec) bool { return s.name == name })
	if i < 0 {
		return spec{}, fmt.Errorf("workload %q: it is one of %s", name, strings.Join(Names(), ", "))
	}
	return all[i], nil
}

func (s *spec) has(f func(Kind) bool) bool {
	return slices.ContainsFunc(s.mix, func(m share) bool { return f(m.kind) })
}

// choose returns what the next operation does.
func (s *spec) choose(r *rand.Rand) Kind {
	last := len(s.mix) - 1
	if last == 0 {
		return s.mix[0].kind
	}
	u := r.Float64()
	for _, m := range s.mix[:last] {
		if u -= m.fraction; u < 0 {
			return m.kind
		}
	}
	return s.mix[last].kind
}
