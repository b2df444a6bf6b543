package view

import (
	"context"

	"github.com/multileveldown/mld"
)

// Iterator walks a range of a view, as an [mld.Iterator] does a range of a
// store. It is used by one goroutine at a time.
type Iterator[K, V any] struct {
	view   Reader[K, V]
	it     mld.Iterator
	key    K
	value  V
	target []byte
	err    error // of an entry that cannot be decoded, or of a target of Seek
}

// NewIterator returns an iterator over a range, positioned before its first
// entry; nil is everything. The context governs the iterator until it is closed.
// A for loop over [Reader.All] needs no closing; an iterator is for those who
// want to seek.
func (r Reader[K, V]) NewIterator(ctx context.Context, rg *Range[K]) (*Iterator[K, V], error) {
	o, err := r.iterOptions(rg)
	if err != nil {
		return nil, err
	}
	it, err := r.from.NewIterator(ctx, &o)
	if err != nil {
		return nil, err
	}
	return &Iterator[K, V]{view: r, it: it}, nil
}

// Next moves to the next entry and reports whether there is one. It returns
// false at the end, at the limit, after an error of the store, and at an entry
// that cannot be decoded.
func (it *Iterator[K, V]) Next() bool {
	if it.err != nil || !it.it.Next() {
		return false
	}
	raw := it.it.Key()
	if it.key, it.err = it.view.decodeKey("iterate", raw); it.err != nil {
		return false
	}
	it.value, it.err = it.view.decodeValue("iterate", raw, it.it.Value())
	return it.err == nil
}

// Seek makes the next call of Next go to the first entry, in the iterator's
// direction, whose key is not before target: forwards the first key >= target,
// in reverse the last key <= target. A target outside the bounds of the range
// gives no entry, not the nearest one. Seek moves both ways, revives an iterator
// that has ended or met an entry that cannot be decoded, and does not start the
// limit anew.
func (it *Iterator[K, V]) Seek(target K) {
	if it.target, it.err = it.view.appendKey(it.target[:0], "seek", target); it.err == nil {
		it.it.Seek(it.target)
	}
}

// Key and Value return the entry that Next moved to. They are the caller's.
func (it *Iterator[K, V]) Key() K { return it.key }

// Value is described at Key.
func (it *Iterator[K, V]) Value() V { return it.value }

// Err returns what ended the walk early. The end of the range is no error.
func (it *Iterator[K, V]) Err() error {
	if it.err != nil {
		return it.err
	}
	return it.it.Err()
}

// Close releases the iterator and returns what Err does. It may be called more
// than once.
func (it *Iterator[K, V]) Close() error {
	err := it.it.Close()
	if it.err != nil {
		return it.err
	}
	return err
}
