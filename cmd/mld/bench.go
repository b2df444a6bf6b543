package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/workload"
)

// benchFlags are the flags of mld bench.
type benchFlags struct {
	app          *app
	db           *dbFlags
	workloads    []string
	prefix       string
	keys         count
	valueSize    byteSize
	batchSize    count
	scanLength   count
	inFlight     count
	clients      count
	rate         float64
	warmup       time.Duration
	duration     time.Duration
	distribution string
	readFraction float64
	noPreload    bool
	keep         bool
	asJSON       bool
	seed         uint64
}

func (a *app) benchCommand() *cobra.Command {
	f := &benchFlags{
		app: a, keys: 100_000, valueSize: 100, batchSize: 100, scanLength: -1, inFlight: 64, clients: 1,
	}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast a store, or its server, is",
		Long: `Measure how fast a store, or its server, is: operations a second, and how long they
take. Several workloads run one after the other, each from the same entries.

Workloads:
  get, put, delete       one key at a time
  put-sync               the same as put, acknowledged when it is on disk
  batch                  puts of --batch-size keys together
  scan, scan-reverse     all entries, or --scan-length of them from some key on
  mixed                  gets, of which --read-fraction is the part, and puts
  ycsb-a                 half gets, half puts, zipfian
  ycsb-b                 95 % gets, 5 % puts, zipfian
  ycsb-c                 gets, zipfian
  ycsb-d                 95 % gets of what is latest, 5 % inserts
  ycsb-e                 95 % scans of 1 to 100 entries, zipfian, 5 % inserts
  ycsb-f                 half gets, half a get and a put of the same key, zipfian

ycsb-a to ycsb-f are those of Cooper et al., "Benchmarking Cloud Serving Systems with
YCSB" (SoCC 2010); --value-size 1000 gives records of their size.

It makes entries of its own, whose keys are --prefix and ten digits, and removes them
at the end. Others are not touched: where one has such a key, nothing is done. All
values that are read are verified; a wrong one ends the run with exit code 7. Two runs
at a time on one store need a --prefix each.

Without --rate, each of --in-flight operations on each of --clients connections starts
when the one before it has ended, so a slow answer holds back what would have waited for
it, and the latencies look better than those of callers that do not wait for each other.
With --rate, operations start on time, or count as waiting from when they should have.`,
		Example: lines(
			`mld bench`,
			`mld bench --workload get --clients 50 --in-flight 1 --duration 30s`,
			`mld bench --workload ycsb-a,ycsb-b,ycsb-c --keys 1000000 --value-size 1000`,
			`mld bench --workload mixed --read-fraction 0.95 --rate 50000`,
			`mld bench --db ./new --create pebble --workload put,put-sync --json | jq .workloads`,
		),
		Args: cobra.NoArgs,
		RunE: a.runE(func(ctx context.Context, _ []string) error { return f.run(ctx) }),
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.workloads, "workload", []string{"get", "put", "scan", "mixed"}, "what to do, with commas between")
	fixedCompletion(c, "workload", workload.Names())
	flags.Var(&f.inFlight, "in-flight", "operations at a time on each connection")
	flags.Var(&f.clients, "clients", "connections; a directory has one")
	flags.Float64Var(&f.rate, "rate", 0, "operations a second, over all connections; 0 is as many as there can be")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "how long each workload is measured")
	flags.DurationVar(&f.warmup, "warmup", 2*time.Second, "how long each workload runs before that")
	flags.Var(&f.keys, "keys", "entries")
	flags.Var(&f.valueSize, "value-size", "the size of a value")
	flags.Var(&f.batchSize, "batch-size", "entries of a batch")
	flags.Var(&f.scanLength, "scan-length", "entries of a scan; none is all")
	choiceFlag(c, &f.distribution, "distribution", "", "which keys are used how often (default: as the\nworkload says, or else uniform)",
		workload.Distributions()...)
	flags.Float64Var(&f.readFraction, "read-fraction", 0.5, "how much of the workload mixed is gets, 0 to 1")
	flags.StringVar(&f.prefix, "prefix", workload.DefaultPrefix, "what the keys begin with")
	flags.BoolVar(&f.noPreload, "no-preload", false, "use the entries that an earlier run has kept, if any")
	flags.BoolVar(&f.keep, "keep", false, "do not remove the entries at the end")
	flags.Uint64Var(&f.seed, "seed", 1, "what all random choices follow from")
	flags.BoolVar(&f.asJSON, "json", false, "write one JSON object")
	f.db = a.addDBFlags(c)
	f.db.addWriteFlags()
	f.db.addCreateFlag()
	return c
}

// validate refuses what the flags alone show to be wrong.
func (f *benchFlags) validate() error {
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"keys", int64(f.keys)},
		{"value-size", int64(f.valueSize)},
		{"batch-size", int64(f.batchSize)},
		{"in-flight", int64(f.inFlight)},
		{"clients", int64(f.clients)},
	} {
		if n.value < 1 {
			return usageError("--%s none: it is a number above 0", n.name)
		}
	}
	if len(f.workloads) == 0 {
		return usageError("--workload names none")
	}
	for _, name := range f.workloads {
		if !slices.Contains(workload.Names(), name) {
			return usageError("--workload %s: it is one of %s", name, strings.Join(workload.Names(), ", "))
		}
	}
	switch {
	case f.prefix == "":
		return usageError("--prefix must not be empty: it keeps the entries apart from others")
	case f.duration <= 0:
		return usageError("--duration %v: it must be above 0", f.duration)
	}
	return nil
}

// writes reports whether the store is written to.
func (f *benchFlags) writes() bool {
	return !f.noPreload || !f.keep || slices.ContainsFunc(f.workloads, workload.Writes)
}

func (f *benchFlags) run(ctx context.Context) error {
	if err := f.validate(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	stores, db, err := f.open(ctx)
	defer func() {
		for _, s := range stores {
			s.Close()
		}
	}()
	if err != nil {
		return err
	}
	p := newBenchProgress(f.app.stderr)
	b, err := workload.New(stores, f.options(db.timeout, p.show))
	if err != nil {
		return err
	}
	report, err := f.measure(ctx, b)
	p.end()
	report.Store = db.where
	if len(report.Workloads) > 0 {
		if err := report.write(f.app.out, f.asJSON); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, mld.ErrReadOnly):
		return fmt.Errorf("%w; what is read-only can be measured with --no-preload --keep and workloads that read", err)
	case errors.Is(err, context.DeadlineExceeded):
		return &timeoutError{db.where, db.timeout, err}
	case errors.Is(err, context.Canceled):
		return errInterrupted
	}
	return err
}

// open opens the store as often as there are connections. Those that are open
// are returned with an error, too.
func (f *benchFlags) open(ctx context.Context) (stores []mld.Store, db *database, err error) {
	open := f.db.openToRead
	if f.writes() {
		open = f.db.openToWrite
	}
	for range int(f.clients) {
		if db, err = open(ctx); err != nil {
			return stores, nil, err
		}
		stores = append(stores, db.Store)
		if !isAddress(db.where) && f.clients > 1 {
			return stores, nil, usageError("--clients %d, but %s is a directory, which is opened once; use --in-flight", f.clients, db.where)
		}
	}
	return stores, db, nil
}

func (f *benchFlags) options(timeout time.Duration, onProgress func(workload.Progress)) *workload.Options {
	return &workload.Options{
		Prefix:       f.prefix,
		Keys:         int(f.keys),
		ValueSize:    int(f.valueSize),
		BatchSize:    int(f.batchSize),
		ScanLength:   int(max(f.scanLength, 0)),
		InFlight:     int(f.inFlight),
		Rate:         f.rate,
		Warmup:       f.warmup,
		Duration:     f.duration,
		Distribution: workload.Distribution(f.distribution),
		ReadFraction: &f.readFraction,
		Write:        f.db.writeOptions(),
		Seed:         f.seed,
		Timeout:      timeout,
		OnProgress:   onProgress,
	}
}

// measure runs the workloads and removes the entries. With an error it returns
// what was measured before, and the error of single operations last.
func (f *benchFlags) measure(ctx context.Context, b *workload.Bench) (report benchReport, err error) {
	if err := b.Check(ctx, f.writes()); err != nil {
		return report, err
	}
	if !f.keep {
		defer func() {
			// After an interrupt, too.
			if cerr := b.Clear(context.WithoutCancel(ctx)); err == nil && cerr != nil {
				err = fmt.Errorf("the entries with the prefix %q could not be removed: %w", f.prefix, cerr)
			}
		}()
	}
	var failed error
	for _, name := range f.workloads {
		if !f.noPreload {
			if err := b.Load(ctx); err != nil {
				return report, err
			}
		}
		result, err := b.Run(ctx, name)
		if err != nil {
			return report, fmt.Errorf("%s: %w", name, err)
		}
		report.add(result, f.rate)
		if result.Err != nil && failed == nil {
			failed = fmt.Errorf("%s: operations have failed, first %w", name, result.Err)
		}
	}
	return report, failed
}
