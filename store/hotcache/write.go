package hotcache

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/multileveldown/mld"
)

// A counter counts writes: in the low bits those that are under way, and above
// them those that have ended, also with an error, for they may have happened.
type counter struct{ n atomic.Uint64 }

const (
	counterSize = 8
	begun       = 1
	ended       = 1<<20 - 1 // one more, and one less under way
	underWay    = 1<<20 - 1
)

func (c *counter) begin() { c.n.Add(begun) }
func (c *counter) end()   { c.n.Add(ended) }

func (s *Store) hash(key []byte) uint64 { return maphash.Bytes(s.seed, key) }

func (s *Store) counter(hash uint64) *counter { return &s.puts[hash&uint64(len(s.puts)-1)] }

// stamp returns how many writes there have been that concern a hash. While one is
// under way, nobody knows what the store will return, and quiet is false: then
// nothing may be put into the cache, so that nothing in it has such a stamp.
//
// The sum of two counters that only grow is the same at two times only if each
// is.
func (s *Store) stamp(hash uint64) (stamp uint64, quiet bool) {
	puts, ranges := s.counter(hash).n.Load(), s.ranges.n.Load()
	return puts + ranges, (puts|ranges)&underWay == 0
}

// change is one write under way.
type change struct {
	hash    uint64
	begun   uint64 // the count of writes when it had begun
	removed uint64 // that of removals of ranges before
	stamp   uint64 // of the value that it has written,
	latest  bool   // if that is known to be the one that the store has
	there   bool   // the cache has an older one
}

func (s *Store) begin(key []byte) change {
	hash := s.hash(key)
	removed := s.ranges.n.Load()
	return change{hash: hash, begun: s.counter(hash).n.Add(begun), removed: removed}
}

// end ends a write. It is the latest of its count if no other has begun or ended
// since it began. One that began before and goes on, or comes after, or the removal
// of a range since before it began, makes the stamp worthless.
func (s *Store) end(c *change) {
	n := s.counter(c.hash).n.Add(ended)
	c.latest = n == c.begun+ended
	c.stamp = n + c.removed
}

// writes reports whether the cache is to have what an operation has written, if it
// has an older value: one that was read before will be read again.
func (s *Store) writes(c *change, op *mld.Op) bool {
	return c.latest && op.Kind == mld.OpPut && s.fits(op.Key, op.Value)
}

// Put implements [mld.Writer].
func (s *Store) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	return s.write(&mld.Op{Kind: mld.OpPut, Key: key, Value: value}, func() error {
		return s.store.Put(ctx, key, value, o)
	})
}

// Delete implements [mld.Writer].
func (s *Store) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	return s.write(&mld.Op{Kind: mld.OpDelete, Key: key}, func() error {
		return s.store.Delete(ctx, key, o)
	})
}

// write does an operation, which is not the removal of a range.
func (s *Store) write(op *mld.Op, do func() error) (err error) {
	c := s.begin(op.Key)
	defer func() {
		s.end(&c)
		if err == nil && s.used.Load() && s.writes(&c, op) && s.table.has(c.hash) {
			s.table.put(c.hash, op.Key, c.stamp, op.Value)
		}
	}()
	return do()
}

// changes are those of a batch.
type changes struct{ list []change }

var changesPool = sync.Pool{New: func() any { return new(changes) }}

// Apply implements [mld.Writer]. A batch that removes a range makes all that is in
// the cache worthless.
func (s *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	return s.apply(ctx, b, o, false)
}

// ApplyDeferred implements [mld.DeferredWriter], if the store behind does.
func (s *Store) ApplyDeferred(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	return s.apply(ctx, b, o, true)
}

// Harden implements [mld.DeferredWriter].
func (s *Store) Harden(ctx context.Context, o *mld.WriteOptions) error {
	return mld.Harden(ctx, s.store, o)
}

func (s *Store) apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions, deferred bool) (err error) {
	ops := b.Ops()
	cs := changesPool.Get().(*changes)
	ranges := false
	for i := range ops {
		if ops[i].Kind == mld.OpDeleteRange {
			ranges = true
			cs.list = append(cs.list, change{})
		} else {
			cs.list = append(cs.list, s.begin(ops[i].Key))
		}
	}
	if ranges {
		s.ranges.begin()
		defer s.ranges.end()
	}
	defer func() {
		for i := range ops {
			if ops[i].Kind != mld.OpDeleteRange {
				s.end(&cs.list[i])
			}
		}
		if err == nil && !ranges && s.used.Load() {
			s.refresh(ops, cs.list)
		}
		cs.list = cs.list[:0]
		changesPool.Put(cs)
	}()
	if deferred {
		return mld.ApplyDeferred(ctx, s.store, b, o)
	}
	return s.store.Apply(ctx, b, o)
}

// refresh has the cache have what a batch has written, where it has older values.
func (s *Store) refresh(ops []mld.Op, list []change) {
	together := len(ops) >= few
	if together {
		s.table.lock()
	}
	for i := range ops {
		if c := &list[i]; s.writes(c, &ops[i]) {
			if together {
				c.there = s.table.shard(c.hash).find(c.hash) != 0
			} else {
				c.there = s.table.has(c.hash)
			}
		}
	}
	if together {
		s.table.unlock()
	}
	for i := range ops {
		if c := &list[i]; c.there {
			s.table.put(c.hash, ops[i].Key, c.stamp, ops[i].Value)
		}
	}
}

// Clear implements [mld.Writer]. It makes all that is in the cache worthless.
func (s *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	s.ranges.begin()
	defer s.ranges.end()
	return s.store.Clear(ctx, r, o)
}
