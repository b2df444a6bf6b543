package main

import (
	"context"
	"io"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
)

// levelDB is goleveldb in the process of the benchmark, as the store of this
// project that it is.
type levelDB struct{ store *leveldbstore.Store }

func (p *levelDB) name() string { return "LevelDB in process" }

func (p *levelDB) start(_ context.Context, b *bench) error {
	dir, err := b.data.leveldbDir("leveldb-in-process")
	if err != nil {
		return err
	}
	p.store, err = leveldbstore.Open(dir, &leveldbstore.Options{CacheBytes: b.cache})
	return err
}

func (p *levelDB) lacks(w *workload) bool { return w.conns > 1 }
func (p *levelDB) memory() int64          { return 0 }

func (p *levelDB) goroutines(w *workload) int {
	if w.shared || w.sync {
		return w.inFlight
	}
	return 1
}

func (*levelDB) warms() bool { return true }

func (p *levelDB) close() error {
	if p.store == nil {
		return nil
	}
	return p.store.Close()
}

func (p *levelDB) open(_ context.Context, w *workload) (handle, error) {
	// The store outlives the handle.
	return &storeHandle{mld.Store(p.store), w, mldWrite(w.sync), func() error { return nil }}, nil
}

func mldWrite(sync bool) *mld.WriteOptions {
	if sync {
		return mld.Sync
	}
	return mld.NoSync
}

// storeHandle is a store of this project.
type storeHandle struct {
	store mld.Store
	w     *workload
	write *mld.WriteOptions
	close func() error
}

func (h *storeHandle) get(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	value, err := h.store.Get(ctx, key)
	return value, nil, err
}

func (h *storeHandle) put(ctx context.Context, key, value []byte) error {
	return h.store.Put(ctx, key, value, h.write)
}

func (h *storeHandle) batch(ctx context.Context, entries []entry) error {
	var b mld.Batch
	for _, e := range entries {
		b.Append(mld.Op{Kind: mld.OpPut, Key: e.key, Value: e.value})
	}
	return h.store.Apply(ctx, &b, h.write)
}

func (h *storeHandle) scan(ctx context.Context, visit func(key, value []byte) bool) error {
	it, err := h.store.NewIterator(ctx, &mld.IterOptions{Range: mld.Range{Reverse: h.w.reverse}, KeysOnly: h.w.keysOnly})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() && visit(it.Key(), it.Value()) {
	}
	return it.Err()
}

func (h *storeHandle) Close() error { return h.close() }
