package hotcache

import (
	"context"
	"hash/maphash"
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

// Put implements [mld.Writer].
func (s *Store) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	c := s.counter(s.hash(key))
	c.begin()
	defer c.end()
	return s.store.Put(ctx, key, value, o)
}

// Delete implements [mld.Writer].
func (s *Store) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	c := s.counter(s.hash(key))
	c.begin()
	defer c.end()
	return s.store.Delete(ctx, key, o)
}

// Apply implements [mld.Writer]. A batch that removes a range makes all that is in
// the cache worthless.
func (s *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	ops := b.Ops()
	ranges := false
	for i := range ops {
		if ops[i].Kind == mld.OpDeleteRange {
			ranges = true
		} else {
			s.counter(s.hash(ops[i].Key)).begin()
		}
	}
	if ranges {
		s.ranges.begin()
		defer s.ranges.end()
	}
	defer func() {
		for i := range ops {
			if ops[i].Kind != mld.OpDeleteRange {
				s.counter(s.hash(ops[i].Key)).end()
			}
		}
	}()
	return s.store.Apply(ctx, b, o)
}

// Clear implements [mld.Writer]. It makes all that is in the cache worthless.
func (s *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	s.ranges.begin()
	defer s.ranges.end()
	return s.store.Clear(ctx, r, o)
}
