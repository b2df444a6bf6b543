package view

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/multileveldown/mld"
)

// Reader reads a store as a map from K to V. It is the part of a [View] that
// reads, and all there is of a [Snapshot]. The zero Reader is not valid.
type Reader[K, V any] struct {
	from   mld.Reader
	prefix string // of every key in the store
	key    Codec[K]
	value  Codec[V]
	err    error // of a sublevel whose name is not allowed; every call returns it
}

// NewReader returns the view of anything that can be read.
func NewReader[K, V any](from mld.Reader, key Codec[K], value Codec[V]) Reader[K, V] {
	return Reader[K, V]{from: from, key: key, value: value}
}

// At returns r as it was in a snapshot of its store. The keys of several views
// of one store are read at one state when all are read at the same snapshot:
//
//	snapshot, err := store.NewSnapshot(ctx)
//	u, err := users.At(snapshot).Get(ctx, id)
//	o, err := orders.At(snapshot).Get(ctx, u.LastOrder)
func (r Reader[K, V]) At(snapshot mld.Reader) Reader[K, V] {
	r.from = snapshot
	return r
}

// Get returns the value of key, or [mld.ErrNotFound].
func (r Reader[K, V]) Get(ctx context.Context, key K) (V, error) {
	var zero V
	s := newScratch()
	defer s.release()
	raw, err := encodeKey(s, &r, "get", key)
	if err != nil {
		return zero, err
	}
	stored, closer, err := mld.GetPinned(ctx, r.from, raw)
	if err != nil {
		return zero, err
	}
	if closer != nil {
		defer closer.Close()
	}
	return r.decodeValue("get", raw, stored)
}

// Has reports whether key is there. It does not decode the value.
func (r Reader[K, V]) Has(ctx context.Context, key K) (bool, error) {
	s := newScratch()
	defer s.release()
	raw, err := encodeKey(s, &r, "get", key)
	if err != nil {
		return false, err
	}
	_, closer, err := mld.GetPinned(ctx, r.from, raw)
	if errors.Is(err, mld.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if closer != nil {
		return true, closer.Close()
	}
	return true, nil
}

// GetMany returns one value for each key, in the order of keys, and nil for a
// key that is not there. All come from one state of the store.
func (r Reader[K, V]) GetMany(ctx context.Context, keys ...K) ([]*V, error) {
	if r.err != nil {
		return nil, r.err
	}
	raw := make([][]byte, len(keys))
	for i, k := range keys {
		var err error
		if raw[i], err = r.appendKey(nil, "get", k); err != nil {
			return nil, err
		}
	}
	values := make([]V, len(keys))
	found := make([]*V, len(keys))
	err := mld.GetEach(ctx, r.from, raw, func(i int, stored []byte) (err error) {
		if stored == nil {
			return nil
		}
		found[i] = &values[i]
		values[i], err = r.decodeValue("get", raw[i], stored)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Entry is a key and its value.
type Entry[K, V any] struct {
	Key   K
	Value V
}

// All returns the entries of a range for use in a for loop; nil is everything.
// An error, of the store or of an entry that cannot be decoded, is yielded once,
// last, with an empty entry. Each use of the sequence walks the range anew.
func (r Reader[K, V]) All(ctx context.Context, rg *Range[K]) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		it, err := r.NewIterator(ctx, rg)
		if err != nil {
			yield(Entry[K, V]{}, err)
			return
		}
		defer it.Close()
		for it.Next() {
			if !yield(Entry[K, V]{it.key, it.value}, nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(Entry[K, V]{}, err)
		}
	}
}

// Keys is [Reader.All] without the values, which are not read or decoded.
func (r Reader[K, V]) Keys(ctx context.Context, rg *Range[K]) iter.Seq2[K, error] {
	keys := Reader[K, struct{}]{r.from, r.prefix, r.key, None, r.err}
	return func(yield func(K, error) bool) {
		for e, err := range keys.All(ctx, rg) {
			if !yield(e.Key, err) {
				return
			}
		}
	}
}

// Values is [Reader.All] without the keys, which are read, so that an error can
// name its entry, but not decoded.
func (r Reader[K, V]) Values(ctx context.Context, rg *Range[K]) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var zero V
		o, err := r.iterOptions(rg)
		if err != nil {
			yield(zero, err)
			return
		}
		for e, err := range mld.All(ctx, r.from, &o) {
			v := zero
			if err == nil {
				v, err = r.decodeValue("iterate", e.Key, e.Value)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func (r *Reader[K, V]) iterOptions(rg *Range[K]) (mld.IterOptions, error) {
	raw, err := r.rawRange("iterate", rg)
	_, keysOnly := any(r.value).(noneCodec)
	return mld.IterOptions{Range: raw, KeysOnly: keysOnly}, err
}

// appendKey appends the key in the store of k to dst.
func (r *Reader[K, V]) appendKey(dst []byte, op string, k K) ([]byte, error) {
	if r.err != nil {
		return dst, r.err
	}
	raw, err := r.key.Append(append(dst, r.prefix...), k)
	if err != nil {
		return dst, encodeError(op, "key", nil, err)
	}
	return raw, nil
}

func (r *Reader[K, V]) decodeKey(op string, raw []byte) (K, error) {
	// A server may send what was not asked for.
	own, ok := bytes.CutPrefix(raw, []byte(r.prefix))
	if !ok {
		var zero K
		return zero, decodeError(op, "key", raw, fmt.Errorf("it does not begin with %q", r.prefix))
	}
	k, err := r.key.Decode(own)
	if err != nil {
		return k, decodeError(op, "key", raw, err)
	}
	return k, nil
}

func (r *Reader[K, V]) decodeValue(op string, raw, stored []byte) (V, error) {
	v, err := r.value.Decode(stored)
	if err != nil {
		return v, decodeError(op, "value", raw, err)
	}
	return v, nil
}
