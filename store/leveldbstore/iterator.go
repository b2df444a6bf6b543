package leveldbstore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	ldbiterator "github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/multileveldown/mld"
)

// source is a store or a snapshot of goleveldb.
type source interface {
	NewIterator(*util.Range, *opt.ReadOptions) ldbiterator.Iterator
}

// move is what the next call of Next does.
type move uint8

const (
	moveToFirst move = iota // in the direction of the iterator
	moveToTarget
	moveOn
	moveNowhere
)

type iterator struct {
	s          *Store
	ctx        context.Context
	r          mld.Range // with bounds and limit; its slices are the iterator's own
	keysOnly   bool
	valuesOnly bool

	next       move
	target     []byte
	left       int // of the limit
	key, value []byte
	err        error

	// mu is held while it is used: Store.Close releases it when it may be in
	// use, and sets it to nil.
	mu sync.Mutex
	it ldbiterator.Iterator
}

// newIterator needs s.reads held.
func (s *Store) newIterator(ctx context.Context, src source, o *mld.IterOptions) (mld.Iterator, error) {
	it := &iterator{s: s, ctx: ctx, left: -1}
	if o != nil {
		it.r = o.Range.Clone()
		it.keysOnly, it.valuesOnly = o.KeysOnly, o.ValuesOnly
		if o.Limit > 0 {
			it.left = o.Limit
		}
	}
	it.it = open(src, &it.r, nil)
	if err := it.it.Error(); err != nil {
		it.it.Release()
		return nil, s.fail("iterate", nil, err)
	}
	s.mu.Lock()
	s.iterators[it] = struct{}{}
	s.mu.Unlock()
	return it, nil
}

// open returns goleveldb's iterator over the bounds of r.
func open(src source, r *mld.Range, o *opt.ReadOptions) ldbiterator.Iterator {
	lower, upper := r.HalfOpen()
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return ldbiterator.NewEmptyIterator(nil)
	}
	return src.NewIterator(&util.Range{Start: lower, Limit: upper}, o)
}

// first moves to the first entry in the direction of reverse, and step to the
// next one.
func first(it ldbiterator.Iterator, reverse bool) bool {
	if reverse {
		return it.Last()
	}
	return it.First()
}

func step(it ldbiterator.Iterator, reverse bool) bool {
	if reverse {
		return it.Prev()
	}
	return it.Next()
}

// seek moves to the first entry in the direction of reverse that is not before
// target.
func seek(it ldbiterator.Iterator, target []byte, reverse bool) bool {
	found := it.Seek(target)
	switch {
	case !reverse:
		return found
	case !found:
		return it.Last()
	case bytes.Equal(it.Key(), target):
		return true
	default:
		return it.Prev()
	}
}

func (it *iterator) Next() bool {
	it.key, it.value = nil, nil
	if it.err != nil {
		return false
	}
	if it.err = it.ctx.Err(); it.err != nil {
		return false
	}
	it.mu.Lock()
	defer it.mu.Unlock()
	if it.it == nil {
		it.err = it.s.errClosed("iterate")
		return false
	}
	if it.left == 0 || !it.move() {
		return false
	}
	if it.left > 0 {
		it.left--
	}
	if !it.valuesOnly {
		it.key = it.it.Key()
	}
	if !it.keysOnly {
		it.value = it.it.Value()
	}
	return true
}

func (it *iterator) move() bool {
	var found bool
	switch it.next {
	case moveToFirst:
		found = first(it.it, it.r.Reverse)
	case moveToTarget:
		found = seek(it.it, it.target, it.r.Reverse)
	case moveOn:
		found = step(it.it, it.r.Reverse)
	}
	it.next = moveOn
	if !found {
		it.next = moveNowhere
		it.err = it.s.fail("iterate", nil, it.it.Error())
	}
	return found
}

func (it *iterator) Seek(target []byte) {
	it.key, it.value = nil, nil
	if !it.r.Contains(target) {
		it.next = moveNowhere
		return
	}
	it.target = append(it.target[:0], target...)
	it.next = moveToTarget
}

func (it *iterator) Key() []byte   { return it.key }
func (it *iterator) Value() []byte { return it.value }
func (it *iterator) Err() error    { return it.err }

func (it *iterator) Close() error {
	it.key, it.value = nil, nil
	it.release()
	it.s.mu.Lock()
	delete(it.s.iterators, it)
	it.s.mu.Unlock()
	return it.err
}

func (it *iterator) release() {
	it.mu.Lock()
	defer it.mu.Unlock()
	if it.it != nil {
		it.it.Release()
		it.it = nil
	}
}

// releaseIterators releases those that are open, and waits for those that are
// moving. It needs s.reads held, so that there will be no more.
func (s *Store) releaseIterators() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.iterators))
	s.mu.Unlock()
	for _, it := range open {
		it.release()
	}
}
