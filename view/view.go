package view

import (
	"context"

	"github.com/multileveldown/mld"
)

// View reads and writes a store, or a sublevel of one, as a map from K to V. The
// zero View is not valid.
type View[K, V any] struct {
	Reader[K, V]
	store mld.Store
}

// New returns the view of a store. Closing the store is left to whoever opened
// it.
func New[K, V any](store mld.Store, key Codec[K], value Codec[V]) View[K, V] {
	return View[K, V]{NewReader(store, key, value), store}
}

// WithKey returns v with another codec of keys, for one call or for many. Ranges
// are in that codec too:
//
//	for e, err := range view.WithKey(users, view.Hex).All(ctx, view.From("c3")) { … }
func WithKey[K, K0, V any](v View[K0, V], key Codec[K]) View[K, V] {
	return View[K, V]{Reader[K, V]{v.from, v.prefix, key, v.value, v.err}, v.store}
}

// WithValue returns v with another codec of values, for one call or for many.
func WithValue[V, V0, K any](v View[K, V0], value Codec[V]) View[K, V] {
	return View[K, V]{Reader[K, V]{v.from, v.prefix, v.key, value, v.err}, v.store}
}

// Put sets the value of key. Nil options mean the defaults of the store, here
// and in the other methods that write.
func (v View[K, V]) Put(ctx context.Context, key K, value V, o *mld.WriteOptions) error {
	s := newScratch()
	defer s.release()
	rawKey, rawValue, err := encodeEntry(s, &v.Reader, "put", key, value)
	if err != nil {
		return err
	}
	return v.store.Put(ctx, rawKey, rawValue, o)
}

// Delete removes key. A key that is not there is no error.
func (v View[K, V]) Delete(ctx context.Context, key K, o *mld.WriteOptions) error {
	s := newScratch()
	defer s.release()
	raw, err := encodeKey(s, &v.Reader, "delete", key)
	if err != nil {
		return err
	}
	return v.store.Delete(ctx, raw, o)
}

// Clear removes the entries of a range: the first of them, up to its limit, in
// its direction, or all. Nil is all entries of the view, those of its sublevels
// included.
func (v View[K, V]) Clear(ctx context.Context, rg *Range[K], o *mld.WriteOptions) error {
	raw, err := v.rawRange("clear", rg)
	if err != nil {
		return err
	}
	return v.store.Clear(ctx, raw, o)
}

// Snapshot is an unchanging view. Its methods may be called together; iterators
// made from it must be closed before it is.
type Snapshot[K, V any] struct {
	Reader[K, V]
	snapshot mld.Snapshot
}

// Snapshot takes a snapshot of the view's store. To read several views at one
// state, take the snapshot from the store and see [Reader.At].
func (v View[K, V]) Snapshot(ctx context.Context) (Snapshot[K, V], error) {
	if v.err != nil {
		return Snapshot[K, V]{}, v.err
	}
	s, err := v.store.NewSnapshot(ctx)
	if err != nil {
		return Snapshot[K, V]{}, err
	}
	return Snapshot[K, V]{v.At(s), s}, nil
}

// Close releases the snapshot.
func (s Snapshot[K, V]) Close() error { return s.snapshot.Close() }
