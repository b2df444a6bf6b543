package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/multileveldown/mld"
)

// Run does a workload and returns what was measured. An error that concerns one
// operation is counted; one after which nothing can be trusted, or nothing can
// go on, ends the run: a value that is not what was written
// ([mld.ErrCorruption]), a store that takes no writes, the end of ctx, or no
// answer for Options.Timeout ([context.DeadlineExceeded]).
//
// Where entries were loaded ([Bench.Load]), a key that is not found counts as a
// value that is not what was written, unless an insert has failed.
func (b *Bench) Run(ctx context.Context, name string) (*Result, error) {
	s, err := lookUp(name)
	if err != nil {
		return nil, &mld.Error{Code: mld.CodeInvalidArgument, Op: "bench", Msg: err.Error()}
	}
	if s.name == mixed && b.o.ReadFraction != nil {
		s.mix[0].fraction = *b.o.ReadFraction
	}
	if b.o.Distribution != "" {
		s.distribution = b.o.Distribution
	}
	r := &run{Bench: b, spec: s, keys: newKeyspace(uint64(b.o.Keys)), write: b.o.Write}
	if s.sync {
		r.write = mld.Sync
	}
	r.complete.Store(b.loaded)
	if s.has(func(k Kind) bool { return k == Delete || k == Insert }) {
		b.loaded = false
	}
	for i := range len(b.stores) * b.o.InFlight {
		r.workers = append(r.workers, newWorker(r, b.stores[i%len(b.stores)], i))
	}
	if b.o.Warmup > 0 {
		r.setRecorders()
		if _, err := r.phase(ctx, "warming up for "+name, b.o.Warmup); err != nil {
			return nil, err
		}
	}
	recorders := r.setRecorders()
	begin := time.Now()
	result := &Result{Workload: name}
	if result.Unstarted, err = r.phase(ctx, name, b.o.Duration); err != nil {
		return nil, err
	}
	result.Elapsed = time.Since(begin)
	addTo(result, recorders)
	return result, nil
}

// run is one run of a workload.
type run struct {
	*Bench
	spec    spec
	keys    *keyspace
	write   *mld.WriteOptions
	workers []*worker
	// complete is whether a key that is not found has been lost.
	complete atomic.Bool
}

// setRecorders gives the workers new recorders. There are a few for each
// processor: one for each worker would take 300 KiB and more times thousands.
func (r *run) setRecorders() []*recorder {
	recorders := make([]*recorder, min(len(r.workers), 4*runtime.GOMAXPROCS(0)))
	for i := range recorders {
		recorders[i] = new(recorder)
	}
	for i, w := range r.workers {
		w.recorder = recorders[i%len(recorders)]
	}
	return recorders
}

// phase lets the workers work for some time, and returns how many operations
// were due and not started in it.
func (r *run) phase(ctx context.Context, what string, d time.Duration) (unstarted int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	var due chan time.Time
	var background sync.WaitGroup
	if r.o.Rate > 0 {
		due = make(chan time.Time, len(r.workers))
		background.Go(func() {
			defer close(due)
			unstarted = r.pace(ctx, due, begin, d)
		})
	}
	ended := make(chan struct{})
	background.Go(func() { r.watch(ended, cancel, what, begin, d) })
	var workers sync.WaitGroup
	for _, w := range r.workers {
		workers.Go(func() {
			var err error
			if due == nil {
				err = w.loop(ctx, begin.Add(d))
			} else {
				err = w.follow(ctx, due)
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	close(ended)
	background.Wait()
	return unstarted, context.Cause(ctx)
}

// paceGrace is by how much an operation may start after the end of a phase: those
// that were due last are late by the time that it takes to wake somebody up.
const paceGrace = 100 * time.Millisecond

// pace sends the times at which operations are due, at each of those times or as
// soon as somebody listens. It returns how many it had not sent when the time
// was over.
func (r *run) pace(ctx context.Context, due chan<- time.Time, begin time.Time, d time.Duration) (unsent int64) {
	total := max(1, int64(d.Seconds()*r.o.Rate))
	over := time.NewTimer(d + paceGrace)
	defer over.Stop()
	for i := range total {
		t := begin.Add(time.Duration(float64(i) / r.o.Rate * 1e9))
		for {
			wait := time.Until(t)
			if wait <= 0 {
				break
			}
			// In steps, so that an end is noticed soon.
			r.sleep(min(wait, 10*time.Millisecond))
			if ctx.Err() != nil {
				return total - i
			}
		}
		select {
		case due <- t:
		case <-over.C:
			return total - i
		case <-ctx.Done():
			return total - i
		}
	}
	return 0
}

// watch shows progress each second, and ends a run in which nothing happens.
func (r *run) watch(ended <-chan struct{}, cancel context.CancelCauseFunc, what string, begin time.Time, d time.Duration) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	moved := func() (n int64, busy bool) {
		busy = r.o.Rate == 0
		for _, w := range r.workers {
			n += w.moved.Load()
			busy = busy || w.busy.Load()
		}
		return n, busy
	}
	before, _ := moved()
	entries := int64(0)
	last, lastMove := begin, begin
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		now := time.Now()
		sum, busy := moved()
		if sum != before || !busy {
			lastMove = now
		} else if r.o.Timeout > 0 && now.Sub(lastMove) >= r.o.Timeout {
			cancel(context.DeadlineExceeded)
			return
		}
		entries += sum - before
		r.o.OnProgress(Progress{
			What: what, Elapsed: now.Sub(begin), Total: d,
			Entries: entries, EntriesPerSecond: float64(sum-before) / now.Sub(last).Seconds(),
		})
		before, last = sum, now
	}
}

// worker does one operation at a time.
type worker struct {
	*run
	store    mld.Store
	rand     *rand.Rand
	chooser  chooser
	recorder *recorder
	version  uint64
	key      []byte
	value    []byte
	batch    mld.Batch
	started  time.Time
	ended    time.Time
	// moved is how many entries were read or written, and how many operations
	// came to nothing. Of the operation under way it has told so many.
	moved atomic.Int64
	told  int64
	// busy is whether an operation is under way, where they have a rate.
	busy atomic.Bool
}

func newWorker(r *run, store mld.Store, number int) *worker {
	random := rand.New(rand.NewPCG(r.o.Seed, uint64(number)))
	return &worker{
		run: r, store: store, rand: random, chooser: newChooser(r.spec.distribution, r.keys, random),
		version: uint64(number+1) << 40, value: make([]byte, r.o.ValueSize),
	}
}

// loop does one operation after the other until a time.
func (w *worker) loop(ctx context.Context, end time.Time) error {
	for {
		o := w.do(ctx)
		o.latency = w.ended.Sub(w.started)
		if err := w.account(ctx, &o); err != nil {
			return err
		}
		if !w.ended.Before(end) {
			return nil
		}
	}
}

// follow does an operation for each that is due.
func (w *worker) follow(ctx context.Context, due <-chan time.Time) error {
	for t := range due {
		w.busy.Store(true)
		o := w.do(ctx)
		w.busy.Store(false)
		o.latency = w.ended.Sub(t)
		if err := w.account(ctx, &o); err != nil {
			return err
		}
	}
	return nil
}

// account records how an operation ended. It returns an error that ends the run.
func (w *worker) account(ctx context.Context, o *outcome) error {
	if o.err != nil {
		o.err = fmt.Errorf("%v: %w", o.kind, o.err)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(o.err, mld.ErrCorruption) || errors.Is(o.err, mld.ErrReadOnly) || errors.Is(o.err, mld.ErrClosed) {
			return o.err
		}
	}
	if o.entries == 0 {
		w.moved.Add(1)
	} else {
		w.moved.Add(o.entries - w.told)
	}
	w.told = 0
	w.recorder.record(o)
	return nil
}

func (w *worker) start() { w.started = time.Now() }
func (w *worker) end()   { w.ended = time.Now() }

// do does an operation.
func (w *worker) do(ctx context.Context) outcome {
	o := outcome{kind: w.spec.choose(w.rand)}
	switch o.kind {
	case Get:
		index := w.chooseKey()
		w.start()
		value, err := w.store.Get(ctx, w.key)
		w.end()
		w.checkGet(&o, index, value, err)
	case Put:
		w.makeEntry(w.chooser.next())
		w.start()
		o.err = w.store.Put(ctx, w.key, w.value, w.write)
		w.end()
		o.wrote(len(w.key) + len(w.value))
	case Insert:
		index := w.keys.nextInsert()
		w.makeEntry(index)
		w.start()
		o.err = w.store.Put(ctx, w.key, w.value, w.write)
		w.end()
		o.wrote(len(w.key) + len(w.value))
		if o.err != nil {
			// Those that come after it shall be found all the same.
			w.complete.Store(false)
		}
		w.keys.inserted(index)
	case Delete:
		w.chooseKey()
		w.start()
		o.err = w.store.Delete(ctx, w.key, w.write)
		w.end()
		o.wrote(len(w.key))
	case Batch:
		w.batch.Reset()
		for range w.o.BatchSize {
			w.makeEntry(w.chooser.next())
			w.batch.Put(w.key, w.value)
		}
		w.start()
		o.err = w.store.Apply(ctx, &w.batch, w.write)
		w.end()
		o.entries, o.bytes = int64(w.batch.Len()), int64(w.batch.Size())
	case Scan, ScanReverse:
		w.scan(ctx, &o)
	case ReadModifyWrite:
		index := w.chooseKey()
		w.start()
		value, err := w.store.Get(ctx, w.key)
		if w.checkGet(&o, index, value, err); o.err == nil {
			w.makeEntry(index)
			o.err = w.store.Put(ctx, w.key, w.value, w.write)
			o.entries++
			o.bytes += int64(len(w.key) + len(w.value))
		}
		w.end()
	}
	return o
}

// wrote notes one entry.
func (o *outcome) wrote(bytes int) { o.entries, o.bytes = 1, int64(bytes) }

// chooseKey makes w.key that of an index, which it returns.
func (w *worker) chooseKey() uint64 {
	index := w.chooser.next()
	w.key = appendKey(w.key[:0], w.o.Prefix, index)
	return index
}

// makeEntry makes w.key and w.value those of an index and a new version.
func (w *worker) makeEntry(index uint64) {
	w.version++
	w.key = appendKey(w.key[:0], w.o.Prefix, index)
	fillValue(w.value, index, w.version)
}

// checkGet notes the answer to a get of w.key.
func (w *worker) checkGet(o *outcome, index uint64, value []byte, err error) {
	switch {
	case errors.Is(err, mld.ErrNotFound) && !w.complete.Load():
		o.notFound = true
	case errors.Is(err, mld.ErrNotFound):
		o.err = wrong("get", w.key, "the entry was written and is not there")
	case err != nil:
		o.err = err
	case !validValue(value, index):
		o.err = wrong("get", w.key, "the value is not one that was written to this key")
	default:
		o.wrote(len(w.key) + len(value))
	}
}

// wrong returns the error for an answer that is not true.
func wrong(op string, key []byte, msg string) error {
	return &mld.Error{Code: mld.CodeCorruption, Op: op, Key: append([]byte(nil), key...), Msg: msg}
}

// moveEntries is after how many entries a scan tells that it gets on.
const moveEntries = 256

// scan walks as many entries as the workload says, and checks each of them.
func (w *worker) scan(ctx context.Context, o *outcome) {
	options := mld.IterOptions{Range: keyRange(w.o.Prefix)}
	options.Reverse = o.kind == ScanReverse
	options.Limit = w.o.ScanLength
	if w.spec.scanLength > 0 {
		options.Limit = 1 + w.rand.IntN(w.spec.scanLength)
	}
	atLeast := w.keys.loaded
	if options.Limit > 0 {
		index := w.chooseKey()
		if options.Reverse {
			options.LTE, atLeast = w.key, min(index+1, uint64(options.Limit))
		} else {
			options.GTE, atLeast = w.key, min(atLeast-min(index, atLeast), uint64(options.Limit))
		}
	}
	w.start()
	defer w.end()
	it, err := w.store.NewIterator(ctx, &options)
	if err != nil {
		o.err = err
		return
	}
	defer it.Close()
	var last uint64
	for it.Next() {
		key, value := it.Key(), it.Value()
		index, ok := parseKey(key, w.o.Prefix)
		switch {
		case !ok:
			o.err = wrong("scan", key, "the key is not one that was written")
		case !validValue(value, index):
			o.err = wrong("scan", key, "the value is not one that was written to this key")
		case o.entries > 0 && (index == last || (index < last) != options.Reverse):
			o.err = wrong("scan", key, "the key is out of order")
		}
		if o.err != nil {
			return
		}
		last = index
		o.entries++
		o.bytes += int64(len(key) + len(value))
		if o.entries%moveEntries == 0 {
			w.moved.Add(moveEntries)
			w.told += moveEntries
		}
	}
	if o.err = it.Err(); o.err == nil && w.complete.Load() && o.entries < int64(atLeast) {
		o.err = wrong("scan", nil, fmt.Sprintf("there are %d entries where %d were written", o.entries, atLeast))
	}
}
