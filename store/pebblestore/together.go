package pebblestore

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/multileveldown/mld"
)

// Fewer gets than fewKeys take less time in turn than it takes to make an iterator for
// them.
const fewKeys = 4

// largeValue is the size in bytes of a value after which the rest is got in turn: of
// 64 KiB, out of tables that the block cache does not hold, an iterator takes half
// as long again as gets.
const largeValue = 4 << 10

// GetTogether implements [mld.TogetherGetter]. It calls f in the order of the keys,
// through which one iterator goes: what it has found for one, the place in each
// level among it, is near what the next one needs.
func (s *Store) GetTogether(ctx context.Context, keys [][]byte, f func(i int, value []byte, err error) error) (err error) {
	if len(keys) < fewKeys {
		return mld.GetInTurn(ctx, s, keys, f)
	}
	it, err := s.newPoints(ctx)
	if err != nil {
		return failAll(keys, f, err)
	}
	o := orders.Get().(*order)
	defer func() { // also where f panics, for Close waits for the iterator
		o.release()
		err = first(err, s.wrap("get", nil, it.Close()), s.unref())
	}()
	return o.walk(ctx, s, it, keys, f)
}

// failAll calls f with an error for each key.
func failAll(keys [][]byte, f func(i int, value []byte, err error) error, err error) error {
	for i := range keys {
		if err := f(i, nil, err); err != nil {
			return err
		}
	}
	return nil
}

// newPoints returns an iterator, and keeps the database for it until unref is
// called.
func (s *Store) newPoints(ctx context.Context) (*pebble.Iterator, error) {
	if err := s.begin(ctx, "get"); err != nil {
		return nil, err
	}
	defer s.end()
	it, err := s.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return nil, s.wrap("get", nil, err)
	}
	s.refs.Add(1)
	return it, nil
}

// order is keys as Pebble has them, in their order.
type order struct {
	keys []numberedKey
}

type numberedKey struct {
	key []byte
	i   int
}

var orders = sync.Pool{New: func() any { return new(order) }}

func (o *order) release() {
	clear(o.keys)
	o.keys = o.keys[:0]
	orders.Put(o)
}

// walk has the iterator go to each key, for as long as values are small.
func (o *order) walk(ctx context.Context, s *Store, it *pebble.Iterator, keys [][]byte, f func(i int, value []byte, err error) error) error {
	for i, key := range keys {
		o.keys = append(o.keys, numberedKey{stored(key), i})
	}
	slices.SortFunc(o.keys, func(a, b numberedKey) int { return bytes.Compare(a.key, b.key) })
	large := false
	for _, k := range o.keys {
		if large {
			err := mld.GetInTurn(ctx, s, keys[k.i:k.i+1], func(_ int, value []byte, err error) error { return f(k.i, value, err) })
			if err != nil {
				return err
			}
			continue
		}
		// To Pebble the prefix of one of our keys is the whole of it, and a table
		// whose filter does not have that is passed by, as in a get.
		var value []byte
		var err error
		if it.SeekPrefixGE(k.key) {
			value, err = it.ValueAndErr()
		} else if err = it.Error(); err == nil {
			err = pebble.ErrNotFound
		}
		large = len(value) > largeValue
		if err := f(k.i, value, s.wrap("get", keys[k.i], err)); err != nil {
			return err
		}
	}
	return nil
}
