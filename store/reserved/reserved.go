// Package reserved hides the keys that the system keeps for itself, those of
// [mld.ReservedRange], from whoever uses a store: they cannot be read, counted,
// changed or removed through it.
//
//	db, err := pebblestore.Open(dir, nil)
//	users := reserved.Hide(db)
//
// A write of a reserved key is refused with [mld.ErrReservedKey], and so is a
// batch with such a write, whole. The removal of a range is none: it removes what
// can be seen in the range, as a Clear does, and leaves reserved keys alone.
package reserved

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/multileveldown/mld"
)

var (
	_ mld.Store        = (*Store)(nil)
	_ mld.PinnedGetter = (*Store)(nil)
	_ mld.EachGetter   = (*Store)(nil)
	_ mld.Statser      = (*Store)(nil)
)

// first and end bound the reserved keys: first <= key < end.
var first, end = mld.ReservedRange().GTE, mld.ReservedRange().LT

// Store is a store without its reserved keys. All its methods may be called
// together. It can do what the other store can: snapshots, pinned values and
// durability are that store's.
type Store struct {
	reader
	s mld.Store

	// writes is held for reading by writes, and for writing by a Clear that
	// must look at the keys before it can say what to remove.
	writes sync.RWMutex
}

// Hide returns s without its reserved keys. Closing it closes s.
func Hide(s mld.Store) *Store {
	return &Store{reader: reader{s}, s: s}
}

// Close closes the store below.
func (s *Store) Close() error { return s.s.Close() }

// Put implements [mld.Writer]. A reserved key is refused with [mld.ErrReservedKey].
func (s *Store) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if mld.IsReserved(key) {
		return s.refuse(ctx, "put", key, o)
	}
	s.writes.RLock()
	defer s.writes.RUnlock()
	return s.s.Put(ctx, key, value, o)
}

// Delete implements [mld.Writer]. A reserved key is refused with
// [mld.ErrReservedKey], whether it is there or not.
func (s *Store) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	if mld.IsReserved(key) {
		return s.refuse(ctx, "delete", key, o)
	}
	s.writes.RLock()
	defer s.writes.RUnlock()
	return s.s.Delete(ctx, key, o)
}

// Apply implements [mld.Writer]. A batch that puts or deletes a reserved key is
// refused with [mld.ErrReservedKey], which names the first such key. The removal
// of a range removes what can be seen in it.
func (s *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	split := false
	for i := range b.Ops() {
		switch op := &b.Ops()[i]; {
		case op.Kind == mld.OpDeleteRange:
			split = split || overlaps(op.Key, op.Value)
		case mld.IsReserved(op.Key):
			return s.refuse(ctx, "batch", op.Key, o)
		}
	}
	if split {
		b = around(b)
	}
	s.writes.RLock()
	defer s.writes.RUnlock()
	return s.s.Apply(ctx, b, o)
}

// refuse returns why a write of a reserved key is not done. A store that is closed
// or takes no writes says so; an empty batch asks it.
func (s *Store) refuse(ctx context.Context, op string, key []byte, o *mld.WriteOptions) error {
	if err := s.s.Apply(ctx, &mld.Batch{}, o); err != nil {
		return named(op, err)
	}
	return &mld.Error{Code: mld.CodeReservedKey, Op: op, Key: bytes.Clone(key), Msg: "the system keeps the keys that begin with it for itself; choose another"}
}

// Clear implements [mld.Writer]. It leaves reserved keys alone and does not count
// them towards the limit. Where the range has keys on both sides of them, it is a
// batch of two removals in the store below; with a limit the keys are looked at
// first, while other writes by this handle wait. A store below that takes no
// removal of a range in a batch, such as a client, returns [mld.ErrUnsupported]
// then.
func (s *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	lower, upper := r.HalfOpen()
	if overlaps(lower, upper) {
		below, above := bytes.Compare(lower, first) < 0, upper == nil || bytes.Compare(upper, end) > 0
		switch {
		case below && above:
			return s.clearAround(ctx, r, o)
		case below:
			r.LT = first
		default:
			// Above them, or nothing is left of the range.
			r.GTE = end
		}
	}
	s.writes.RLock()
	defer s.writes.RUnlock()
	return s.s.Clear(ctx, r, o)
}

func (s *Store) clearAround(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	if r.Limit <= 0 {
		s.writes.RLock()
		defer s.writes.RUnlock()
	} else {
		s.writes.Lock()
		defer s.writes.Unlock()
		if err := s.narrow(ctx, &r); err != nil {
			return named("clear", err)
		}
	}
	lower, upper := r.HalfOpen()
	var b mld.Batch
	DeleteRange(&b, lower, upper)
	return named("clear", s.s.Apply(ctx, &b, o))
}

// narrow puts the bound where the range's limit ends it, if it does. It is called
// with writes held alone.
func (s *Store) narrow(ctx context.Context, r *mld.Range) error {
	it, err := s.NewIterator(ctx, &mld.IterOptions{Range: *r, KeysOnly: true})
	if err != nil {
		return err
	}
	defer it.Close()
	for n := 0; n < r.Limit; n++ {
		if !it.Next() {
			return it.Err()
		}
	}
	if r.Reverse {
		r.GTE, r.GT = bytes.Clone(it.Key()), nil
	} else {
		r.LTE, r.LT = bytes.Clone(it.Key()), nil
	}
	return it.Err()
}

// overlaps reports whether a reserved key can be in lower <= key < upper, where a
// nil upper is none.
func overlaps(lower, upper []byte) bool {
	return bytes.Compare(lower, end) < 0 && (upper == nil || bytes.Compare(upper, first) > 0 && bytes.Compare(lower, upper) < 0)
}

// DeleteRange adds to b, as [mld.Batch.DeleteRange] does but without copying the
// bounds, the removal of the keys in lower <= key < upper that are not reserved. A
// nil upper is no bound.
func DeleteRange(b *mld.Batch, lower, upper []byte) {
	if !overlaps(lower, upper) {
		b.Append(mld.Op{Kind: mld.OpDeleteRange, Key: lower, Value: upper})
		return
	}
	if bytes.Compare(lower, first) < 0 {
		b.Append(mld.Op{Kind: mld.OpDeleteRange, Key: lower, Value: first})
	}
	if upper == nil || bytes.Compare(upper, end) > 0 {
		b.Append(mld.Op{Kind: mld.OpDeleteRange, Key: end, Value: upper})
	}
}

// around returns a batch that does the same as b and leaves reserved keys alone.
func around(b *mld.Batch) *mld.Batch {
	var a mld.Batch
	for _, op := range b.Ops() {
		if op.Kind == mld.OpDeleteRange {
			DeleteRange(&a, op.Key, op.Value)
		} else {
			a.Append(op)
		}
	}
	return &a
}

// named returns an error of the store below as one of the operation that was asked
// for.
func named(op string, err error) error {
	if e, ok := err.(*mld.Error); ok && e.Op != op {
		own := *e
		own.Op = op
		return &own
	}
	return err
}

// NewSnapshot implements [mld.Store].
func (s *Store) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	snap, err := s.s.NewSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{reader{snap}, snap}, nil
}

// Stats implements [mld.Statser]. The number of entries, where the store below tells
// it, is without the reserved ones; sizes are with them, for that is what is used.
// Where the store below tells nothing, the error is [mld.ErrUnsupported].
func (s *Store) Stats(ctx context.Context) (mld.Stats, error) {
	st, ok := s.s.(mld.Statser)
	if !ok {
		return mld.Stats{}, &mld.Error{Code: mld.CodeUnsupported, Op: "stats", Msg: "the store does not tell of itself"}
	}
	stats, err := st.Stats(ctx)
	if err != nil {
		return mld.Stats{}, err
	}
	const entries = "entries"
	if all, ok := stats.Metrics[entries]; ok {
		hidden := 0
		for _, err := range mld.All(ctx, s.s, &mld.IterOptions{Range: mld.ReservedRange(), KeysOnly: true}) {
			if err != nil {
				return mld.Stats{}, named("stats", err)
			}
			hidden++
		}
		stats.Metrics = maps.Clone(stats.Metrics)
		stats.Metrics[entries] = max(0, all-float64(hidden))
	}
	return stats, nil
}

// anyReserved reports whether one of the keys is reserved.
func anyReserved(keys [][]byte) bool { return slices.ContainsFunc(keys, mld.IsReserved) }

// missing returns what a read of a reserved key returns, given what the store below
// said: that is asked all the same, for it knows whether it is closed.
func missing(key []byte, err error) error {
	if err == nil || errors.Is(err, mld.ErrNotFound) {
		return &mld.Error{Code: mld.CodeNotFound, Op: "get", Key: bytes.Clone(key)}
	}
	return err
}
