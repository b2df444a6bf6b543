// Package hotcache keeps values that were read lately in memory, in front of a
// store whose own reads take longer.
//
//	engine, err := pebblestore.Open(dir, nil)
//	db := hotcache.New(engine, nil)
//
// It answers gets, one at a time or together: a get-many, an iterator and a snapshot
// read one state of the store, so they ask the store itself. What a get returns is
// what the store would have returned, provided that everybody who writes to the
// store does so through its one cache.
//
// Values are kept outside of the garbage-collected heap; those that were put in
// first are dropped first.
package hotcache

import (
	"context"
	"hash/maphash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/multileveldown/mld"
)

var (
	_ mld.Store          = (*Store)(nil)
	_ mld.PinnedGetter   = (*Store)(nil)
	_ mld.EachGetter     = (*Store)(nil)
	_ mld.TogetherGetter = (*Store)(nil)
	_ mld.DeferredWriter = (*Store)(nil)
	_ mld.Statser        = (*Store)(nil)
)

// Options modify a [Store]. Nil is the zero value: the defaults.
type Options struct {
	// Bytes is how much memory the cache may take for keys and values, 1 MiB at
	// the least; 32 MiB. What finds them takes a sixth of it more.
	Bytes int64

	// MaxValue is the size in bytes of the largest value that is kept; 16 KiB,
	// and a sixty-fourth of Bytes at the most. A larger one would take the place
	// of many.
	MaxValue int
}

const (
	defaultBytes    = 32 << 20
	defaultMaxValue = 16 << 10

	// bytesPerCounter is how many bytes of the cache there are for each counter
	// of writes: as many as two small entries have, so that few share one.
	bytesPerCounter = 256
)

// Store is a store with a cache in front. All its methods may be called
// together. Durability, snapshots and what else it can do are those of the store
// behind.
//
// Each value in the cache is stamped with how many writes there had been to its
// key when it was read, and is good as long as that has not changed; so whoever
// puts a value in need not exclude the writes. The keys of one remainder of their
// hash share a counter. A write puts its value in where there is an older one.
type Store struct {
	store    mld.Store
	seed     maphash.Seed
	table    *table
	maxValue int
	closed   atomic.Bool
	puts     []counter // a power of two of them
	ranges   counter   // of removals of ranges, which concern all keys

	used         atomic.Bool // something was put into the table
	hits, misses atomic.Uint64
}

// New returns s with a cache in front of it. Closing it closes s.
func New(s mld.Store, o *Options) *Store {
	size, maxValue := int64(defaultBytes), defaultMaxValue
	if o != nil && o.Bytes > 0 {
		size = o.Bytes
	}
	if o != nil && o.MaxValue > 0 {
		maxValue = o.MaxValue
	}
	c := &Store{store: s, seed: maphash.MakeSeed(), table: newTable(int(size))}
	c.maxValue = min(maxValue, c.table.maxEntry())
	n := 1
	for int64(n)*bytesPerCounter < size {
		n *= 2
	}
	c.puts = make([]counter, n)
	return c
}

// Close closes the store behind and lets go of the cache.
func (s *Store) Close() error {
	first := !s.closed.Swap(true)
	err := s.store.Close()
	if first {
		s.table.release()
	}
	return err
}

// Get implements [mld.Reader].
func (s *Store) Get(ctx context.Context, key []byte) ([]byte, error) {
	value, pin, err := s.GetPinned(ctx, key)
	if err != nil || pin == nil {
		return value, err
	}
	copied := append(make([]byte, 0, len(value)), value...)
	return copied, pin.Close()
}

// GetPinned implements [mld.PinnedGetter].
func (s *Store) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	hash := s.hash(key)
	stamp, quiet := s.stamp(hash)
	p := pins.Get().(*pin)
	if p.load(s.table, hash, key, stamp) {
		s.hits.Add(1)
		return p.value, p, nil
	}
	pins.Put(p)
	return s.read(ctx, hash, key, stamp, quiet)
}

// read reads a value of the store behind, and keeps it.
func (s *Store) read(ctx context.Context, hash uint64, key []byte, stamp uint64, quiet bool) ([]byte, io.Closer, error) {
	s.misses.Add(1)
	value, closer, err := mld.GetPinned(ctx, s.store, key)
	if err == nil {
		s.keep(hash, key, stamp, quiet, value)
	}
	return value, closer, err
}

// keep puts a value into the cache that was read of the store behind, after its
// stamp was.
func (s *Store) keep(hash uint64, key []byte, stamp uint64, quiet bool, value []byte) {
	if quiet && s.fits(key, value) {
		s.table.put(hash, key, stamp, value)
		if !s.used.Load() {
			s.used.Store(true)
		}
	}
}

// fits reports whether a value is of a size to be kept.
func (s *Store) fits(key, value []byte) bool {
	return len(value) <= s.maxValue && len(key)+len(value) <= s.table.maxEntry()
}

// pin is a value that was copied out of the cache.
type pin struct{ value []byte }

var pins = sync.Pool{New: func() any { return &pin{make([]byte, 0, 256)} }}

// load copies the value of a key, if the table has it.
func (p *pin) load(t *table, hash uint64, key []byte, stamp uint64) bool {
	shard := t.shard(hash)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	place := shard.find(hash)
	if place == 0 {
		return false
	}
	value, ok := shard.value(place, key, stamp)
	if ok {
		p.value = append(p.value[:0], value...)
	}
	return ok
}

// Close gives the memory back.
func (p *pin) Close() error {
	pins.Put(p)
	return nil
}

// GetMany implements [mld.Reader], by the store behind.
func (s *Store) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return s.store.GetMany(ctx, keys)
}

// GetEach implements [mld.EachGetter], by the store behind.
func (s *Store) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	return mld.GetEach(ctx, s.store, keys, f)
}

// NewIterator implements [mld.Reader], by the store behind.
func (s *Store) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	return s.store.NewIterator(ctx, o)
}

// NewSnapshot implements [mld.Store], by the store behind.
func (s *Store) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	return s.store.NewSnapshot(ctx)
}

// Stats returns those of the store behind, with the memory of the cache in
// MemoryBytes and with the metrics value_cache_bytes, value_cache_entries,
// value_cache_hits_total and value_cache_misses_total. A store that
// does not tell of itself is [mld.ErrUnsupported].
func (s *Store) Stats(ctx context.Context) (mld.Stats, error) {
	behind, ok := s.store.(mld.Statser)
	if !ok {
		return mld.Stats{}, &mld.Error{Code: mld.CodeUnsupported, Op: "stats", Msg: "the store does not tell of itself"}
	}
	stats, err := behind.Stats(ctx)
	if err != nil {
		return stats, err
	}
	entries, size := s.table.usage()
	size += len(s.puts) * counterSize
	stats.MemoryBytes += int64(size)
	metrics := map[string]float64{
		"value_cache_bytes":        float64(size),
		"value_cache_entries":      float64(entries),
		"value_cache_hits_total":   float64(s.hits.Load()),
		"value_cache_misses_total": float64(s.misses.Load()),
	}
	for name, n := range stats.Metrics {
		metrics[name] = n
	}
	stats.Metrics = metrics
	return stats, nil
}
