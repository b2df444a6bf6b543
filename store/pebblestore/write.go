package pebblestore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/multileveldown/mld"
)

// maxBatch is how many bytes a batch can have. Pebble's own limit is 4 GiB less
// one, with its overhead; beyond it, it panics.
const maxBatch = 2 << 30

// opOverhead is more than what Pebble adds to the key and value of an operation
// in a batch: a kind and two lengths.
const opOverhead = 1 + 2*5

// Put implements [mld.Writer].
func (s *Store) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	return s.write(ctx, "put", o, len(key)+len(value), func(wo *pebble.WriteOptions) error {
		return s.db.Set(stored(key), value, wo)
	})
}

// Delete implements [mld.Writer].
func (s *Store) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	return s.write(ctx, "delete", o, len(key), func(wo *pebble.WriteOptions) error {
		return s.db.Delete(stored(key), wo)
	})
}

// Apply implements [mld.Writer]. A batch of more than 2 GiB is refused with
// [mld.ErrLimitExceeded].
func (s *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	size := b.Size() + b.Len()*opOverhead
	return s.write(ctx, "batch", o, size, func(wo *pebble.WriteOptions) error {
		if b.Len() == 0 {
			return nil
		}
		pb := s.db.NewBatchWithSize(size)
		for i, op := range b.Ops() {
			var err error
			switch op.Kind {
			case mld.OpPut:
				err = pb.Set(stored(op.Key), op.Value, nil)
			case mld.OpDelete:
				err = pb.Delete(stored(op.Key), nil)
			default:
				err = &mld.Error{Code: mld.CodeInvalidArgument, Op: "batch", Key: clone(op.Key), Msg: fmt.Sprintf("operation %d is of unknown kind %d", i, op.Kind)}
			}
			if err != nil {
				pb.Close()
				return err
			}
		}
		if err := s.db.Apply(pb, wo); err != nil {
			return err
		}
		return pb.Close()
	})
}

// Clear implements [mld.Writer]. It leaves one mark that hides the range, however
// many entries that has; their space is reclaimed in the background.
//
// With a limit, or without an upper bound, the keys must be looked at first. Other
// writes wait meanwhile, so that the removal falls between them as a whole.
func (s *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	lower, upper := storedBounds(&r)
	if r.Limit <= 0 && upper != nil {
		return s.write(ctx, "clear", o, 0, func(wo *pebble.WriteOptions) error {
			return s.deleteRange(lower, upper, wo)
		})
	}
	if err := s.beginWrite(ctx, "clear"); err != nil {
		return err
	}
	defer s.end()
	s.writes.Lock()
	defer s.writes.Unlock()
	return s.commit("clear", o, func(wo *pebble.WriteOptions) error {
		lower, upper, err := s.boundaries(ctx, lower, upper, r.Limit, r.Reverse)
		if err != nil {
			return err
		}
		return s.deleteRange(lower, upper, wo)
	})
}

func (s *Store) deleteRange(lower, upper []byte, wo *pebble.WriteOptions) error {
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	return s.db.DeleteRange(lower, upper, wo)
}

// boundaries returns tighter bounds of stored keys, which contain exactly the first limit
// entries in the direction given, and are never open above.
func (s *Store) boundaries(ctx context.Context, lower, upper []byte, limit int, reverse bool) (from, to []byte, err error) {
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return nil, nil, nil
	}
	it, err := s.db.NewIterWithContext(ctx, bounds(lower, upper))
	if err != nil {
		return nil, nil, err
	}
	defer it.Close()

	if upper == nil {
		if !it.Last() {
			return nil, nil, it.Error()
		}
		upper = after(it.Key())
	}
	if limit <= 0 {
		return lower, upper, nil
	}
	first, step := it.First, it.Next
	if reverse {
		first, step = it.Last, it.Prev
	}
	n := 0
	for ok := first(); ok; ok = step() {
		if n++; n < limit {
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			continue
		}
		if reverse {
			lower = bytes.Clone(it.Key())
		} else {
			upper = after(it.Key())
		}
		break
	}
	return lower, upper, it.Error()
}

// write does a change as one of many at a time.
func (s *Store) write(ctx context.Context, op string, o *mld.WriteOptions, size int, change func(*pebble.WriteOptions) error) error {
	if size > maxBatch {
		return &mld.Error{Code: mld.CodeLimitExceeded, Op: op, Where: s.dir, Msg: fmt.Sprintf("a write of %d bytes is over the limit of %d", size, maxBatch)}
	}
	if err := s.beginWrite(ctx, op); err != nil {
		return err
	}
	defer s.end()
	s.writes.RLock()
	defer s.writes.RUnlock()
	return s.commit(op, o, change)
}

func (s *Store) beginWrite(ctx context.Context, op string) error {
	if err := s.begin(ctx, op); err != nil {
		return err
	}
	if s.readOnly {
		s.end()
		return &mld.Error{Code: mld.CodeReadOnly, Op: op, Where: s.dir}
	}
	return nil
}

// commit calls change, and looks whether the store failed meanwhile: what Pebble
// says of a write counts for nothing then.
func (s *Store) commit(op string, o *mld.WriteOptions, change func(*pebble.WriteOptions) error) error {
	wo := pebble.Sync
	if o.Durable(s.durability) == mld.DurabilityNoSync {
		wo = pebble.NoSync
	}
	err := change(wo)
	return first(s.failure.error(op, s.dir), s.wrap(op, nil, err))
}

// after returns the least key that is greater than key.
func after(key []byte) []byte {
	return append(append(make([]byte, 0, len(key)+1), key...), 0)
}

// storedBounds returns the bounds of a range as lower <= stored key < upper, where
// nil is none.
func storedBounds(r *mld.Range) (lower, upper []byte) {
	lower, upper = r.HalfOpen()
	return storedBound(lower), storedBound(upper)
}

// bounds returns the options of an iterator over lower <= stored key < upper.
func bounds(lower, upper []byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: lower, UpperBound: upper}
}
