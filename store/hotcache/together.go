package hotcache

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/multileveldown/mld"
)

// lookup is one of several look-ups.
type lookup struct {
	hash, stamp uint64
	place       uint64 // of the entry, or what may be it; 0 is none
	start, end  int    // of the value among those that were copied
	quiet       bool
	found       bool
}

// lookups are several, with the values that were found.
type lookups struct {
	list   []lookup
	values []byte

	missing []int    // those of list that the store behind is asked for
	keys    [][]byte // theirs
}

var lookupsPool = sync.Pool{New: func() any { return &lookups{values: make([]byte, 0, 4<<10)} }}

// mostValues is how many bytes of values are copied out of the cache together.
// Those beyond are copied one at a time, as each is passed on.
const mostValues = 64 << 10

func (l *lookups) release() {
	l.list, l.values = l.list[:0], l.values[:0]
	clear(l.keys)
	l.missing, l.keys = l.missing[:0], l.keys[:0]
	lookupsPool.Put(l)
}

// few is how many look-ups take less time one after the other than with all locks.
const few = shardCount / 4

// GetTogether implements [mld.TogetherGetter]. What is in the cache comes first.
func (s *Store) GetTogether(ctx context.Context, keys [][]byte, f func(i int, value []byte, err error) error) error {
	if len(keys) < few {
		return mld.GetInTurn(ctx, s, keys, f)
	}
	l := lookupsPool.Get().(*lookups)
	defer l.release()
	l.find(s, keys)
	hits, ended := uint64(0), ctx.Err()
	for i := range l.list {
		if e := &l.list[i]; e.found {
			hits++
			if err := f(i, l.values[e.start:e.end:e.end], ended); err != nil {
				return err
			}
		}
	}
	s.hits.Add(hits)
	for i := range l.list {
		switch e := &l.list[i]; {
		case e.found:
		case e.place != 0: // there was no room for its copy
			err := mld.GetInTurn(ctx, s, keys[i:i+1], func(_ int, value []byte, err error) error { return f(i, value, err) })
			if err != nil {
				return err
			}
		default:
			l.missing = append(l.missing, i)
			l.keys = append(l.keys, keys[i])
		}
	}
	if len(l.missing) == 0 {
		return nil
	}
	s.misses.Add(uint64(len(l.missing)))
	return mld.GetTogether(ctx, s.store, l.keys, func(n int, value []byte, err error) error {
		i := l.missing[n]
		if err == nil {
			e := &l.list[i]
			s.keep(e.hash, keys[i], e.stamp, e.quiet, value)
		}
		return f(i, value, err)
	})
}

// find looks keys up. Each pass touches, for all of them, the memory that the next
// one needs, so that the processor waits for it once and not once for each.
func (l *lookups) find(s *Store, keys [][]byte) {
	for _, key := range keys {
		hash := s.hash(key)
		stamp, quiet := s.stamp(hash)
		l.list = append(l.list, lookup{hash: hash, stamp: stamp, quiet: quiet})
	}
	t := s.table
	t.lock()
	defer t.unlock()
	for i := range l.list {
		e := &l.list[i]
		e.place = t.shard(e.hash).find(e.hash)
	}
	for i := range l.list {
		e := &l.list[i]
		if e.place != 0 && binary.LittleEndian.Uint64(t.shard(e.hash).entry(e.place)) != e.stamp {
			e.place = 0
		}
	}
	for i := range l.list {
		e := &l.list[i]
		if e.place == 0 {
			continue
		}
		value, ok := t.shard(e.hash).value(e.place, keys[i], e.stamp)
		switch {
		case !ok:
			e.place = 0
		case len(l.values)+len(value) <= mostValues:
			e.found = true
			e.start = len(l.values)
			l.values = append(l.values, value...)
			e.end = len(l.values)
		}
	}
}
