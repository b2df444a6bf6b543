// Command bench measures what docs/benchmarks.md shows: the same operations
// through this project's server and client, through the Node pairs, and on the
// store in process. All peers run in one run, in turn, round by round, so that
// what the machine does meanwhile meets all of them; medians are reported.
//
//	go run ./bench [-rounds 5] [-keys 200000] [-time 1s] [-only get]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/multileveldown/mld/client"
)

// workload is one thing to measure.
type workload struct {
	name     string
	op       string // get, put, batch or scan
	inFlight int
	conns    int
	sync     bool
}

var workloads = []workload{
	{"get, 1 in flight", "get", 1, 1, false},
	{"get, 64 in flight, one connection", "get", 64, 1, false},
	{"get, 64 connections", "get", 64, 64, false},
	{"put, 1 in flight", "put", 1, 1, false},
	{"put, 64 in flight, one connection", "put", 64, 1, false},
	{"put, 64 connections", "put", 64, 64, false},
	{"put, sync, 64 in flight, one connection", "put", 64, 1, true},
	{"put, sync, 64 connections", "put", 64, 64, true},
	{"batches of 100 puts, 1 in flight", "batch", 1, 1, false},
	{"full scan", "scan", 1, 1, false},
}

// settings are what all peers are measured with.
type settings struct {
	keys      int
	valueSize int
	time      time.Duration
}

// peer is something that is measured. A peer that cannot do a workload returns
// errLacks.
type peer interface {
	name() string
	run(ctx context.Context, w workload, s settings) (opsPerSecond float64, err error)
	close() error
}

func main() {
	var (
		rounds  = flag.Int("rounds", 5, "how often each workload is run on each peer")
		keys    = flag.Int("keys", 200_000, "entries in each store")
		size    = flag.Int("value", 100, "bytes of a value")
		length  = flag.Duration("time", time.Second, "how long each run takes")
		only    = flag.String("only", "", "run only the workloads whose name contains this")
		modules = flag.String("modules", "tests/interop", "the folder whose node_modules has the npm packages")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s := settings{keys: *keys, valueSize: *size, time: *length}
	if err := bench(ctx, s, *rounds, *only, *modules); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, s settings, rounds int, only, modules string) error {
	dir, err := os.MkdirTemp("", "mld-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	peers, err := startPeers(ctx, dir, modules, s)
	defer func() {
		for _, p := range peers {
			if err := p.close(); err != nil {
				fmt.Fprintln(os.Stderr, "bench:", p.name(), err)
			}
		}
	}()
	if err != nil {
		return err
	}
	var table results
	for _, w := range workloads {
		if !strings.Contains(w.name, only) {
			continue
		}
		figures := make([][]float64, len(peers))
		for round := range rounds {
			for i, p := range peers {
				progress("%s, round %d of %d: %s", w.name, round+1, rounds, p.name())
				ops, err := p.run(ctx, w, s)
				if err == errLacks {
					continue
				}
				if err != nil {
					return fmt.Errorf("%s: %s: %w", p.name(), w.name, err)
				}
				figures[i] = append(figures[i], ops)
			}
		}
		table.add(w, figures)
	}
	progress("")
	names := make([]string, len(peers))
	for i, p := range peers {
		names[i] = p.name()
	}
	table.print(os.Stdout, names, s, rounds)
	return nil
}

// startPeers starts every peer and fills its store.
func startPeers(ctx context.Context, dir, modules string, s settings) ([]peer, error) {
	var peers []peer
	for _, start := range []func() (peer, error){
		func() (peer, error) { return startInProcess("pebble", dir) },
		func() (peer, error) { return startServer("mld, pebble", "pebble", dir, nil) },
		func() (peer, error) {
			return startServer("mld, pebble, at least once", "pebble", dir, &client.Options{ExactlyOnce: client.ExactlyOnceOff})
		},
		func() (peer, error) { return startInProcess("leveldb", dir) },
		func() (peer, error) { return startServer("mld, leveldb", "leveldb", dir, nil) },
		func() (peer, error) { return startNode("many-level", dir, modules) },
		func() (peer, error) { return startNode("multileveldown", dir, modules) },
	} {
		p, err := start()
		if p != nil {
			peers = append(peers, p)
		}
		if err != nil {
			return peers, err
		}
		progress("filling %s", p.name())
		if _, err := p.run(ctx, workload{op: "fill", inFlight: 1, conns: 1}, s); err != nil {
			return peers, fmt.Errorf("%s: fill: %w", p.name(), err)
		}
	}
	return peers, nil
}

// median returns the median of figures, and the least and greatest of them.
func median(figures []float64) (mid, least, most float64) {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2], sorted[0], sorted[len(sorted)-1]
}

// progress shows what is being done, on a terminal, in the place of what it
// showed before.
func progress(format string, args ...any) {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(os.Stderr, "\r\x1b[K"+format, args...)
	}
}
