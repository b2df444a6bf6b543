// Package hotcache keeps values that were read lately in memory, in front of a
// store whose own reads take longer.
//
//	engine, err := pebblestore.Open(dir, nil)
//	db := hotcache.New(engine, nil)
//
// It answers single gets: a get-many, an iterator and a snapshot read one state of
// the store, so they ask the store itself. What a get returns is what the store
// would have returned, provided that everybody who writes to the store does so
// through its one cache.
//
// Values are kept by [fastcache], outside of the garbage-collected heap; those
// that were put in first are dropped first.
//
// [fastcache]: https://github.com/VictoriaMetrics/fastcache
package hotcache

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/multileveldown/mld"
)

var (
	_ mld.Store        = (*Store)(nil)
	_ mld.PinnedGetter = (*Store)(nil)
	_ mld.EachGetter   = (*Store)(nil)
	_ mld.Statser      = (*Store)(nil)
)

// Options modify a [Store]. Nil is the zero value: the defaults.
type Options struct {
	// Bytes is how much memory the cache may take for keys and values, 32 MiB at
	// the least; 32 MiB. What finds them takes a sixteenth of it more, and about
	// 30 bytes for each value.
	Bytes int64

	// MaxValue is the size in bytes of the largest value that is kept, 48 KiB at
	// the most; 16 KiB. A larger one would take the place of many.
	MaxValue int
}

const (
	defaultBytes    = 32 << 20
	defaultMaxValue = 16 << 10
	mostMaxValue    = 48 << 10

	// maxEntry is how many bytes of a key and what is kept under it the library
	// takes.
	maxEntry = 60 << 10

	// bytesPerCounter is how many bytes of the cache there are for each counter
	// of writes: fewer than an entry has, so that few share one.
	bytesPerCounter = 128
)

// Store is a store with a cache in front. All its methods may be called
// together. Durability, snapshots and what else it can do are those of the store
// behind.
//
// Each value in the cache is stamped with how many writes there had been to its
// key when it was read, and is good as long as that has not changed; so a write
// need not look into the cache, and whoever puts a value in need not exclude the
// writes. The keys of one remainder of their hash share a counter.
type Store struct {
	store    mld.Store
	cache    *fastcache.Cache
	maxValue int
	closed   atomic.Bool
	puts     []counter // a power of two of them
	ranges   counter   // of removals of ranges, which concern all keys
}

// New returns s with a cache in front of it. Closing it closes s.
func New(s mld.Store, o *Options) *Store {
	c := &Store{store: s, maxValue: defaultMaxValue}
	size := int64(defaultBytes)
	if o != nil {
		if o.Bytes > 0 {
			size = o.Bytes
		}
		if o.MaxValue > 0 {
			c.maxValue = min(o.MaxValue, mostMaxValue)
		}
	}
	c.cache = fastcache.New(int(size))
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
		s.cache.Reset()
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
	stamp, quiet := s.stamp(key)
	if !quiet || s.closed.Load() {
		return mld.GetPinned(ctx, s.store, key)
	}
	e := entries.Get().(*entry)
	if e.load(s.cache, key, stamp) {
		return e.value(), e, nil
	}
	value, closer, err := mld.GetPinned(ctx, s.store, key)
	if err == nil && len(value) <= s.maxValue && len(key)+stampSize+len(value) <= maxEntry {
		e.save(s.cache, key, stamp, value)
	}
	entries.Put(e)
	return value, closer, err
}

// entry is what the cache has of a value, or will: a stamp and the value.
type entry struct{ buf []byte }

const stampSize = 8

var entries = sync.Pool{New: func() any { return &entry{make([]byte, 0, 256)} }}

// load copies the entry of a key out of the cache, if its value is good.
func (e *entry) load(c *fastcache.Cache, key []byte, stamp uint64) bool {
	var found bool
	e.buf, found = c.HasGet(e.buf[:0], key)
	return found && binary.LittleEndian.Uint64(e.buf) == stamp
}

func (e *entry) save(c *fastcache.Cache, key []byte, stamp uint64, value []byte) {
	e.buf = append(binary.LittleEndian.AppendUint64(e.buf[:0], stamp), value...)
	c.Set(key, e.buf)
}

func (e *entry) value() []byte { return e.buf[stampSize:] }

// Close gives the memory of a value that was lent back.
func (e *entry) Close() error {
	entries.Put(e)
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

// indexBytes is about what an entry takes in the library's index.
const indexBytes = 30

// Stats returns those of the store behind, with the memory of the cache in
// MemoryBytes and with the metrics value_cache_bytes, value_cache_entries,
// value_cache_hits_total and value_cache_misses_total. The hits have in them
// those of values that turned out not to be good any more. A store that does not
// tell of itself is [mld.ErrUnsupported].
func (s *Store) Stats(ctx context.Context) (mld.Stats, error) {
	behind, ok := s.store.(mld.Statser)
	if !ok {
		return mld.Stats{}, &mld.Error{Code: mld.CodeUnsupported, Op: "stats", Msg: "the store does not tell of itself"}
	}
	stats, err := behind.Stats(ctx)
	if err != nil {
		return stats, err
	}
	var c fastcache.Stats
	s.cache.UpdateStats(&c)
	size := int64(c.BytesSize+c.EntriesCount*indexBytes) + int64(len(s.puts))*counterSize
	stats.MemoryBytes += size
	metrics := map[string]float64{
		"value_cache_bytes":        float64(size),
		"value_cache_entries":      float64(c.EntriesCount),
		"value_cache_hits_total":   float64(c.GetCalls - c.Misses),
		"value_cache_misses_total": float64(c.Misses),
	}
	for name, n := range stats.Metrics {
		metrics[name] = n
	}
	stats.Metrics = metrics
	return stats, nil
}
