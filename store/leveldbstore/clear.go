package leveldbstore

import (
	"context"
	"slices"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"github.com/multileveldown/mld"
)

// maxClearBatch is how many bytes of keys the removal of ranges collects in
// memory. Beyond that it writes its deletions into tables, which take effect
// together.
const maxClearBatch = 4 << 20

// Clear implements [mld.Writer]. LevelDB has no deletion of a range: Clear reads
// the keys and deletes each of them. Other writes wait for it. The context can
// end it while it reads; it has had no effect then.
func (s *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	return s.writeAlone(ctx, "clear", o, func(c *clearing) error { return c.collect(ctx, &r) })
}

// applyRanges applies a batch that removes ranges. An operation on a key that a
// later one removes as part of a range leaves nothing behind, and those that are
// left are on keys that no later range has. So the ranges can be removed first,
// as they are in the database, and the others be done after them.
func (s *Store) applyRanges(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	return s.writeAlone(ctx, "batch", o, func(c *clearing) error {
		ops := b.Ops()
		var ranges []mld.Range
		var others []int // the operations that are left, last first
		for i := len(ops) - 1; i >= 0; i-- {
			switch ops[i].Kind {
			case mld.OpDeleteRange:
				ranges = append(ranges, mld.Range{GTE: ops[i].Key, LT: ops[i].Value})
			case mld.OpPut, mld.OpDelete:
				if slices.ContainsFunc(ranges, func(r mld.Range) bool { return r.Contains(ops[i].Key) }) {
					continue
				}
				fallthrough
			default:
				others = append(others, i)
			}
		}
		for i := range ranges {
			if err := c.collect(ctx, &ranges[i]); err != nil {
				return err
			}
		}
		for _, i := range slices.Backward(others) {
			if err := s.addOp(c.batch, ops, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeAlone does a write that has to look at the keys: collect adds to it what is
// to be written, all of which then takes effect at once.
func (s *Store) writeAlone(ctx context.Context, op string, o *mld.WriteOptions, collect func(*clearing) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if err := s.writableLocked(op); err != nil {
		return err
	}
	c := clearing{s: s, op: op, batch: takeBatch(0)}
	defer giveBatch(c.batch)
	if err := collect(&c); err != nil {
		if c.tr != nil && s.broken == nil {
			c.tr.Discard()
		}
		return err
	}
	return s.fail(op, nil, c.finish(s.writeOptions(o)))
}

// clearing is such a write under way, with Store.writes held alone.
type clearing struct {
	s     *Store
	op    string
	batch *leveldb.Batch       // what is to be written next
	tr    *leveldb.Transaction // nil as long as all has fitted into the batch
}

func (c *clearing) collect(ctx context.Context, r *mld.Range) error {
	it := open(c.s.db, r, &opt.ReadOptions{DontFillCache: true})
	defer it.Release()
	n := 0
	for ok := first(it, r.Reverse); ok; ok = step(it, r.Reverse) {
		if n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		c.batch.Delete(it.Key())
		if len(c.batch.Dump()) >= maxClearBatch {
			if err := c.spill(); err != nil {
				return c.s.fail(c.op, nil, err)
			}
		}
		if n++; n == r.Limit {
			break
		}
	}
	return c.s.fail(c.op, nil, it.Error())
}

// spill moves the batch into a transaction.
func (c *clearing) spill() error {
	if c.tr == nil {
		tr, err := c.s.db.OpenTransaction()
		if err != nil {
			// Goleveldb may have kept the lock of writers.
			c.s.broken = err
			return err
		}
		c.tr = tr
	}
	err := c.tr.Write(c.batch, nil)
	c.batch.Reset()
	return err
}

func (c *clearing) finish(o *opt.WriteOptions) error {
	if c.tr == nil {
		return c.s.db.Write(c.batch, o)
	}
	if err := c.spill(); err != nil {
		c.tr.Discard()
		return err
	}
	err := c.tr.Commit()
	if err != nil {
		// Goleveldb has kept the lock of commits. Nor may the transaction be
		// discarded: its tables may be in the manifest.
		c.s.broken = err
	}
	return err
}
