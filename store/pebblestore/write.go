package pebblestore

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/multileveldown/mld"
)

// maxBatch is how many bytes a batch can have. Pebble's own limit is 4 GiB less
// one, with its overhead; beyond it, it panics.
const maxBatch = 2 << 30

// opOverhead is more than what Pebble adds to the key and value of an operation
// in a batch: a kind and two lengths.
const opOverhead = 1 + 2*5

// batchHeader is what a batch of Pebble's begins with. Pebble panics when it closes
// an empty one that was made for less.
const batchHeader = 12

// Put implements [mld.Writer].
func (s *Store) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if err := s.checkSize("put", len(key)+len(value)); err != nil {
		return err
	}
	return s.write(ctx, "put", o.Durable(s.durability), func(wo *pebble.WriteOptions) error {
		return s.db.Set(stored(key), value, wo)
	})
}

// Delete implements [mld.Writer].
func (s *Store) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	if err := s.checkSize("delete", len(key)); err != nil {
		return err
	}
	return s.write(ctx, "delete", o.Durable(s.durability), func(wo *pebble.WriteOptions) error {
		return s.db.Delete(stored(key), wo)
	})
}

// Apply implements [mld.Writer]. A batch of more than 2 GiB is refused with
// [mld.ErrLimitExceeded]. Other writes wait for one that removes a range without an
// upper bound, for which the last key must be looked up.
func (s *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	return s.apply(ctx, b, o.Durable(s.durability))
}

// ApplyDeferred implements [mld.DeferredWriter]. The batch is in Pebble's log, of which
// the operating system has not been given the end.
func (s *Store) ApplyDeferred(ctx context.Context, b *mld.Batch, _ *mld.WriteOptions) error {
	return s.apply(ctx, b, deferred)
}

// Harden implements [mld.DeferredWriter]. What is before an entry of Pebble's log is as
// durable as the entry.
func (s *Store) Harden(ctx context.Context, o *mld.WriteOptions) error {
	return s.write(ctx, "harden", o.Durable(s.durability), func(wo *pebble.WriteOptions) error {
		return s.db.LogData(nil, wo)
	})
}

// deferred is the durability of what is hardened later.
const deferred = mld.DurabilityDefault

func (s *Store) apply(ctx context.Context, b *mld.Batch, d mld.Durability) error {
	size := b.Size() + b.Len()*opOverhead
	if err := s.checkSize("batch", size); err != nil {
		return err
	}
	write := s.write
	if slices.ContainsFunc(b.Ops(), unbounded) {
		write = s.writeAlone
	}
	return write(ctx, "batch", d, func(wo *pebble.WriteOptions) error {
		if b.Len() == 0 {
			return nil
		}
		pb := s.db.NewBatchWithSize(batchHeader + size)
		ranges, err := s.fill(ctx, pb, b.Ops())
		if err == nil && pb.Empty() { // what was deferred before is to become durable nevertheless
			err = pb.LogData(nil, nil)
		}
		if err != nil {
			pb.Close()
			return err
		}
		if err := s.db.Apply(pb, wo); err != nil {
			return err
		}
		s.noteTombstones(ranges)
		return pb.Close()
	})
}

// unbounded reports whether an operation removes a range without an upper bound.
func unbounded(op mld.Op) bool { return op.Kind == mld.OpDeleteRange && op.Value == nil }

// fill adds operations to a batch of Pebble's, and returns how many range tombstones
// that are. It is called with writes held alone if one of them is unbounded.
func (s *Store) fill(ctx context.Context, pb *pebble.Batch, ops []mld.Op) (ranges int, err error) {
	var last []byte // the greatest stored key that the batch has put
	for i, op := range ops {
		switch op.Kind {
		case mld.OpPut:
			key := stored(op.Key)
			if bytes.Compare(key, last) > 0 {
				last = key
			}
			err = pb.Set(key, op.Value, nil)
		case mld.OpDelete:
			err = pb.Delete(stored(op.Key), nil)
		case mld.OpDeleteRange:
			lower, upper := stored(op.Key), storedBound(op.Value)
			if upper == nil {
				if _, upper, err = s.boundaries(ctx, lower, nil, 0, false); err != nil {
					return 0, err
				}
				if last != nil && bytes.Compare(last, upper) >= 0 {
					upper = after(last)
				}
				if err := s.checkSize("batch", pb.Len()+len(upper)); err != nil {
					return 0, err
				}
			}
			if bytes.Compare(lower, upper) < 0 {
				ranges++
				err = pb.DeleteRange(lower, upper, nil)
			}
		default:
			err = &mld.Error{Code: mld.CodeInvalidArgument, Op: "batch", Key: clone(op.Key), Msg: fmt.Sprintf("operation %d is of unknown kind %d", i, op.Kind)}
		}
		if err != nil {
			return 0, err
		}
	}
	return ranges, nil
}

// Clear implements [mld.Writer]. It leaves one mark that hides the range, however
// many entries that has; their space is reclaimed in the background.
//
// With a limit, or without an upper bound, the keys must be looked at first. Other
// writes wait meanwhile, so that the removal falls between them as a whole.
func (s *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	lower, upper := storedBounds(&r)
	d := o.Durable(s.durability)
	if r.Limit <= 0 && upper != nil {
		return s.write(ctx, "clear", d, func(wo *pebble.WriteOptions) error {
			return s.deleteRange(lower, upper, wo)
		})
	}
	return s.writeAlone(ctx, "clear", d, func(wo *pebble.WriteOptions) error {
		lower, upper, err := s.boundaries(ctx, lower, upper, r.Limit, r.Reverse)
		if err != nil {
			return err
		}
		return s.deleteRange(lower, upper, wo)
	})
}

// deleteRange removes the stored keys of a range. A nil lower bound is the least of
// them, for Pebble's merging of range tombstones takes a bound that is nil for the
// end, and an empty one becomes nil where its key is copied, as builds with the race
// detector do at random: then a compaction drops all tombstones behind that one.
func (s *Store) deleteRange(lower, upper []byte, wo *pebble.WriteOptions) error {
	if lower == nil {
		lower = stored(nil)
	}
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	if err := s.db.DeleteRange(lower, upper, wo); err != nil {
		return err
	}
	s.noteTombstones(1)
	return nil
}

// maxTombstones is how many range tombstones a memtable may get before it is
// flushed. Pebble splits them where they overlap, keeps each piece once for every
// tombstone that covers it, of n up to 2n² times 40 bytes, and does that anew for the
// first read after each. With 64, clears and reads in turn were faster than with half as
// many, or twice, and 30 times as fast as without a bound after 10,000 of them.
const maxTombstones = 64

// noteTombstones counts range tombstones that were written, and has the memtable
// flushed when it has too many.
func (s *Store) noteTombstones(n int) {
	if n > 0 && s.tombstones.Add(int64(n)) >= maxTombstones && s.tombstones.Swap(0) >= maxTombstones {
		_, _ = s.db.AsyncFlush() // the next write meets whatever is wrong, too
	}
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

// checkSize returns an error when a write would have more bytes than Pebble takes.
func (s *Store) checkSize(op string, size int) error {
	if size > maxBatch {
		return &mld.Error{Code: mld.CodeLimitExceeded, Op: op, Where: s.dir, Msg: fmt.Sprintf("a write of %d bytes is over the limit of %d", size, maxBatch)}
	}
	return nil
}

// write does a change as one of many at a time.
func (s *Store) write(ctx context.Context, op string, d mld.Durability, change func(*pebble.WriteOptions) error) error {
	if err := s.beginWrite(ctx, op); err != nil {
		return err
	}
	defer s.end()
	s.writes.RLock()
	defer s.writes.RUnlock()
	return s.commit(op, d, change)
}

// writeAlone does a change that must look at the keys before it can say what to
// write, while no other is under way.
func (s *Store) writeAlone(ctx context.Context, op string, d mld.Durability, change func(*pebble.WriteOptions) error) error {
	if err := s.beginWrite(ctx, op); err != nil {
		return err
	}
	defer s.end()
	s.writes.Lock()
	defer s.writes.Unlock()
	return s.commit(op, d, change)
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
func (s *Store) commit(op string, d mld.Durability, change func(*pebble.WriteOptions) error) error {
	wo := pebble.Sync // which is to say written, see syncs
	if d == deferred {
		wo = pebble.NoSync
	}
	err := change(wo)
	if err == nil && d == mld.DurabilitySync {
		s.syncs.wait()
	}
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
