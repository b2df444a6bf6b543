package reserved

import (
	"bytes"
	"context"
	"io"

	"github.com/multileveldown/mld"
)

// reader reads a store or a snapshot of it.
type reader struct{ r mld.Reader }

// Get implements [mld.Reader]. A reserved key is not found.
func (r reader) Get(ctx context.Context, key []byte) ([]byte, error) {
	value, err := r.r.Get(ctx, key)
	if mld.IsReserved(key) {
		return nil, missing(key, err)
	}
	return value, err
}

// GetPinned implements [mld.PinnedGetter]. The value is lent by the store below if
// it can, and else a copy.
func (r reader) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	if mld.IsReserved(key) {
		_, err := r.Get(ctx, key)
		return nil, nil, err
	}
	return mld.GetPinned(ctx, r.r, key)
}

// GetMany implements [mld.Reader]. The values of reserved keys are nil.
func (r reader) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values, err := r.r.GetMany(ctx, keys)
	for i := range values {
		if mld.IsReserved(keys[i]) {
			values[i] = nil
		}
	}
	return values, err
}

// GetEach implements [mld.EachGetter]. The values of reserved keys are nil.
func (r reader) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	if !anyReserved(keys) {
		return mld.GetEach(ctx, r.r, keys, f)
	}
	return mld.GetEach(ctx, r.r, keys, func(i int, value []byte) error {
		if mld.IsReserved(keys[i]) {
			value = nil
		}
		return f(i, value)
	})
}

// GetTogether implements [mld.TogetherGetter]. Reserved keys are not found.
func (r reader) GetTogether(ctx context.Context, keys [][]byte, f func(i int, value []byte, err error) error) error {
	if !anyReserved(keys) {
		return mld.GetTogether(ctx, r.r, keys, f)
	}
	for i, key := range keys {
		value, pin, err := r.GetPinned(ctx, key)
		err = f(i, value, err)
		if pin != nil {
			if cerr := pin.Close(); err == nil {
				err = cerr
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// NewIterator implements [mld.Reader]. The iterator goes around reserved keys and
// does not count them.
func (r reader) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var below mld.IterOptions
	if o != nil {
		below = *o
	}
	if !overlaps(below.HalfOpen()) {
		return r.r.NewIterator(ctx, o)
	}
	it := &iterator{reverse: below.Reverse, valuesOnly: below.ValuesOnly, left: -1}
	if below.Limit > 0 {
		it.left = below.Limit
	}
	below.Limit, below.ValuesOnly = 0, false
	var err error
	if it.Iterator, err = r.r.NewIterator(ctx, &below); err != nil {
		return nil, err
	}
	return it, nil
}

var _ mld.Walker = (*iterator)(nil)

// iterator is one of the store below, which has all keys, and no limit.
type iterator struct {
	mld.Iterator
	reverse    bool
	valuesOnly bool
	left       int  // of the limit; less than 0 is none
	past       bool // a walk in reverse has come to before the reserved keys
}

func (it *iterator) Next() bool {
	if it.left == 0 {
		return false
	}
	for it.Iterator.Next() {
		key := it.Iterator.Key()
		if !mld.IsReserved(key) {
			it.left--
			return true
		}
		it.goAround(key)
	}
	return false
}

// goAround passes over the reserved keys, which may be many, from one of them on.
// A target that is outside of the range ends the walk, and then nothing is beyond
// it.
func (it *iterator) goAround(key []byte) {
	if !it.reverse {
		it.Seek(end)
	} else if len(key) > len(first) {
		it.Seek(first)
	}
}

func (it *iterator) Seek(target []byte) {
	it.past = false
	it.Iterator.Seek(target)
}

// Walk implements [mld.Walker].
func (it *iterator) Walk(f func(key, value []byte) bool) bool {
	if it.past && it.left < 0 && !it.valuesOnly {
		return mld.Walk(it.Iterator, f)
	}
	for it.left != 0 {
		var among []byte // a reserved key that was met
		ended := false
		mld.Walk(it.Iterator, func(key, value []byte) bool {
			if mld.IsReserved(key) {
				among = append([]byte{}, key...)
				return false
			}
			it.left--
			if it.valuesOnly {
				key = nil
			}
			ended = !f(key, value)
			return !ended && it.left != 0
		})
		if among == nil {
			it.past = ended && it.reverse && bytes.Compare(it.Iterator.Key(), first) < 0
			return ended
		}
		it.goAround(among)
	}
	return false
}

func (it *iterator) Key() []byte {
	if it.valuesOnly {
		return nil
	}
	return it.Iterator.Key()
}

// snapshot is a snapshot of the store below.
type snapshot struct {
	reader
	snap mld.Snapshot
}

var (
	_ mld.PinnedGetter = (*snapshot)(nil)
	_ mld.EachGetter   = (*snapshot)(nil)
)

// Close implements [mld.Snapshot].
func (s *snapshot) Close() error { return s.snap.Close() }
