package main

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// inProcess is Pebble in the process of the benchmark, used as it is: what a
// store costs that is not shared.
type inProcess struct{ db *pebble.DB }

func (p *inProcess) name() string { return "Pebble in process" }

func (p *inProcess) start(_ context.Context, b *bench) error {
	dir, err := b.data.pebbleDir("in-process")
	if err != nil {
		return err
	}
	p.db, err = openPebble(dir, b.cache)
	return err
}

// openPebble opens a directory with the options of this project's servers.
func openPebble(dir string, cache int64) (*pebble.DB, error) {
	o, err := pebbleOptions(cache)
	if err != nil {
		return nil, err
	}
	return pebble.Open(dir, o)
}

func (p *inProcess) lacks(w *workload) bool { return w.conns > 1 }
func (p *inProcess) memory() int64          { return 0 }

// goroutines returns one where others have one goroutine that sends requests
// together, except where it would wait for a disk each time.
func (p *inProcess) goroutines(w *workload) int {
	if w.shared || w.sync {
		return w.inFlight
	}
	return 1
}

func (*inProcess) warms() bool { return true }

func (p *inProcess) close() error {
	if p.db == nil {
		return nil
	}
	return p.db.Close()
}

func (p *inProcess) open(_ context.Context, w *workload) (handle, error) {
	return &pebbleHandle{p.db, w, pebbleWrite(w.sync)}, nil
}

func pebbleWrite(sync bool) *pebble.WriteOptions {
	if sync {
		return pebble.Sync
	}
	return pebble.NoSync
}

type pebbleHandle struct {
	db    *pebble.DB
	w     *workload
	write *pebble.WriteOptions
}

func (h *pebbleHandle) get(_ context.Context, key []byte) ([]byte, io.Closer, error) {
	return h.db.Get(key)
}

func (h *pebbleHandle) put(_ context.Context, key, value []byte) error {
	return h.db.Set(key, value, h.write)
}

func (h *pebbleHandle) batch(_ context.Context, entries []entry) error {
	b := h.db.NewBatch()
	defer b.Close()
	for _, e := range entries {
		if err := b.Set(e.key, e.value, nil); err != nil {
			return err
		}
	}
	return b.Commit(h.write)
}

func (h *pebbleHandle) scan(_ context.Context, visit func(key, value []byte) bool) error {
	return scanPebble(h.db, nil, h.w.reverse, h.w.keysOnly, visit)
}

// scanPebble walks the keys from lower, on which there need not be, in either
// direction. The iterator's bounds leave out the keys that a server of this
// project keeps for itself, of which there are none in other stores.
func scanPebble(db *pebble.DB, lower []byte, reverse, keysOnly bool, visit func(key, value []byte) bool) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: lower})
	if err != nil {
		return err
	}
	defer it.Close()
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		var value []byte
		if !keysOnly {
			if value, err = it.ValueAndErr(); err != nil {
				return err
			}
		}
		if !visit(it.Key(), value) {
			break
		}
	}
	return it.Error()
}

func (h *pebbleHandle) Close() error { return nil }
