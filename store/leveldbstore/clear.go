package leveldbstore

import (
	"context"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"github.com/multileveldown/mld"
)

// maxClearBatch is how many bytes of keys Clear collects in memory. Beyond that
// it writes its deletions into tables, which take effect together.
const maxClearBatch = 4 << 20

// Clear implements [mld.Writer]. LevelDB has no deletion of a range: Clear reads
// the keys and deletes each of them. Other writes wait for it. The context can
// end it while it reads; it has had no effect then.
func (s *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if err := s.writableLocked("clear"); err != nil {
		return err
	}
	c := clearing{s: s, batch: takeBatch(0)}
	defer giveBatch(c.batch)
	if err := c.collect(ctx, &r); err != nil {
		if c.tr != nil && s.broken == nil {
			c.tr.Discard()
		}
		return err
	}
	return s.fail("clear", nil, c.finish(s.writeOptions(o)))
}

// clearing is a Clear under way, with Store.writes held alone.
type clearing struct {
	s     *Store
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
				return c.s.fail("clear", nil, err)
			}
		}
		if n++; n == r.Limit {
			break
		}
	}
	return c.s.fail("clear", nil, it.Error())
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
