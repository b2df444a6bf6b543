// Command bench measures what docs/benchmarks.md shows: the same operations
// through this project's server and client, through other servers, through the
// Node pairs, and on the store in process. All peers that are installed run in
// one run, in turn, round by round, so that what the machine does meanwhile meets
// all of them; what comes back is verified.
//
//	go -C bench run . [-keys 1000000] [-rounds 5] [-time 1s] [-only get,put] [-peers mld,Redis]
//
// With -growth it measures how figures change with one thing, with -beside what a
// quiet client feels of busy ones, and with -failover how long a party is without a
// host.
//
// It prints tables in Markdown. With -out FILE it writes them into a document, in
// the place of those that are between its marks there, and charts beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"
)

// settings are what is measured, and how.
type settings struct {
	keys      int
	valueSize int
	cache     int64
	rounds    int
	time      time.Duration
	only      []string // workloads, by id
	peers     []string // by the beginnings of their names
	serve     string   // further flags of mld serve
	bin       string   // where the command mld is, if it is built already
	modules   string   // the folder whose node_modules has the npm packages
}

func main() {
	if run, ok := child(); ok {
		exit(run())
		return
	}
	var (
		s      settings
		only   = flag.String("only", "", "run only these workloads, by the names of their figures, with commas between")
		peers  = flag.String("peers", "", "run only the peers whose names begin with one of these, with commas between")
		grow   = flag.String("growth", "", "measure instead how things change with the number of keys, conns, or with the size of values")
		beside = flag.Bool("beside", false, "measure instead how long the calls of a quiet client take beside busy ones")
		kills  = flag.Int("failover", 0, "measure instead how long a party is without a host, which is killed so often")
		out    = flag.String("out", "", "a Markdown document to write the tables into, between its marks, and the charts beside it")
		asJSON = flag.String("json", "", "a file to write all figures to")
		render = flag.String("render", "", "measure nothing, take what -json has written to this file")
	)
	flag.IntVar(&s.keys, "keys", 1_000_000, "entries in each store")
	flag.IntVar(&s.valueSize, "value", 100, "bytes of a value")
	flag.Int64Var(&s.cache, "cache", 1<<30, "bytes of each store's block cache")
	flag.IntVar(&s.rounds, "rounds", 5, "how often each workload is run on each peer")
	flag.DurationVar(&s.time, "time", time.Second, "how long each run is measured")
	flag.StringVar(&s.serve, "serve", "", "further flags of mld serve, such as '--value-cache none'")
	flag.StringVar(&s.modules, "modules", "", "the folder whose node_modules has the npm packages (default tests/interop)")
	flag.Parse()
	s.only, s.peers = list(*only), list(*peers)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, s, *grow, *beside, *kills, *out, *asJSON, *render))
}

// child returns what the program does instead where it was started by itself.
func child() (run func() error, ok bool) {
	if len(os.Args) < 2 {
		return nil, false
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "serve":
		return func() error { return serve(args) }, true
	case "member":
		return func() error { return beMember(args) }, true
	case "neighbour":
		return func() error { return beNeighbour(args) }, true
	}
	return nil, false
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and reports.
func run(ctx context.Context, s settings, grow string, beside bool, kills int, out, asJSON, render string) error {
	var report *report
	var err error
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected: %s", flag.Arg(0))
	case render != "":
		report, err = readReport(render)
	case grow != "":
		report, err = measureGrowth(ctx, s, grow)
	case beside:
		report, err = measureBeside(ctx, s)
	case kills > 0:
		report, err = measureFailover(ctx, s, failoverCases, kills)
	default:
		report, err = measureAll(ctx, s)
	}
	progress("")
	if err != nil {
		return err
	}
	if asJSON != "" {
		if err := report.writeJSON(asJSON); err != nil {
			return err
		}
	}
	if out == "" {
		return report.writeTables(os.Stdout, "")
	}
	return report.writeInto(out)
}

// root returns the folder of the project, in which the program runs, or below.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "mld")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run it in the folder of the project")
		}
	}
}

// progress shows what is being done, on a terminal, in the place of what it
// showed before.
func progress(format string, args ...any) {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(os.Stderr, "\r\x1b[K"+format, args...)
	}
}
