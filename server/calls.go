package server

import (
	"encoding/json"
	"fmt"
	"unsafe"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

const (
	// gatherBytes and gatherOps are how much of what arrived together is
	// applied together.
	gatherBytes = 1 << 20
	gatherOps   = 1024

	// opSize is how many bytes an operation takes in memory beyond its key and
	// value: in the request, and in the batch.
	opSize = 2 * int(unsafe.Sizeof(mld.Op{}))
)

// reader returns what the read in c.req is to read from.
func (c *conn) reader() (mld.Reader, error) {
	if c.req.Snapshot == 0 {
		return c.srv.store, nil
	}
	if s, ok := c.snapshots[c.req.Snapshot]; ok {
		return s, nil
	}
	return nil, &mld.Error{Code: mld.CodeSnapshotLost, Msg: fmt.Sprintf("this connection has no snapshot %d", c.req.Snapshot)}
}

func (c *conn) get() error {
	r, err := c.reader()
	if err != nil {
		return c.fail(err)
	}
	value, pin, err := mld.GetPinned(c.ctx, r, c.req.Key)
	if err != nil {
		return c.fail(err)
	}
	if pin != nil {
		defer pin.Close()
	}
	if err := c.room(len(value) + overhead); err != nil {
		return c.fail(err)
	}
	c.out = wire.AppendValue(c.out, c.req.ID, value)
	return nil
}

// overhead is more than what the wire adds to the bytes of a value or an entry.
const overhead = 64

func (c *conn) getMany() error {
	r, err := c.reader()
	if err != nil {
		return c.fail(err)
	}
	most := c.srv.opts.Limits.Answer
	var answer wire.Many
	c.out = answer.Begin(c.out, c.req.ID)
	if len(c.req.Keys) > 0 {
		err = mld.GetEach(c.ctx, r, c.req.Keys, func(_ int, value []byte) error {
			if answer.Size(c.out)+len(value) > most {
				return errLimit("bytes of an answer to a get-many", most, "max-answer")
			}
			if err := c.room(len(value) + overhead); err != nil {
				return err
			}
			c.out = answer.Add(c.out, value)
			return nil
		})
	}
	if err != nil {
		c.out = answer.Cancel(c.out)
		return c.fail(err)
	}
	c.out = answer.End(c.out)
	return nil
}

// gathered are writes that arrived together and are not applied yet. Their
// slices point into the input buffer, which holds still until more is read.
type gathered struct {
	batch      mld.Batch
	durability mld.Durability
	size       int      // bytes that the lists of operations take, as far as they count as in flight
	ids        []uint32 // of the writes, in order
	ends       []int    // where each one's operations end in the batch
}

// write refuses the write in c.req, or does it, or gathers it.
func (c *conn) write() error {
	if c.srv.opts.ReadOnly {
		return c.fail(mld.ErrReadOnly)
	}
	durability := c.req.Durability
	if durability == mld.DurabilityDefault {
		durability = c.srv.opts.Durability
	}
	kind, ops := WriteBatch, c.req.Ops
	switch c.req.Tag {
	case wire.TagPut:
		kind = WritePut
		ops = append(ops, mld.Op{Kind: mld.OpPut, Key: c.req.Key, Value: c.req.Value})
	case wire.TagDelete:
		kind = WriteDelete
		ops = append(ops, mld.Op{Kind: mld.OpDelete, Key: c.req.Key})
	case wire.TagClear:
		return c.clear(durability)
	}
	c.req.Ops = ops
	if c.srv.opts.BeforeWrite != nil {
		w := Write{Kind: kind, Ops: ops, Durability: durability}
		if err := c.before(&w); err != nil {
			return c.fail(err)
		}
		ops, durability = w.Ops, w.Durability
	}
	g := &c.writes
	if g.durability != durability {
		if err := c.commit(); err != nil {
			return err
		}
		g.durability = durability
	}
	if len(ops) > gatherOps {
		// Many small operations take far more than their message.
		if err := c.resize(&g.size, g.size+len(ops)*opSize); err != nil {
			return c.fail(err)
		}
	}
	g.batch.Append(ops...)
	g.ids = append(g.ids, c.req.ID)
	g.ends = append(g.ends, g.batch.Len())
	if g.batch.Size() >= gatherBytes || g.batch.Len() >= gatherOps {
		return c.commit()
	}
	return nil
}

// clear does the clear in c.req, after all that was sent before it.
func (c *conn) clear(durability mld.Durability) error {
	if err := c.commit(); err != nil {
		return err
	}
	if c.req.Limited && c.req.Range.Limit == 0 {
		c.out = wire.AppendOK(c.out, c.req.ID) // of nothing
		return nil
	}
	w := Write{Kind: WriteClear, Range: c.req.Range, Durability: durability}
	if c.srv.opts.BeforeWrite != nil {
		if err := c.before(&w); err != nil {
			return c.fail(err)
		}
	}
	if err := c.srv.store.Clear(c.ctx, w.Range, &mld.WriteOptions{Durability: w.Durability}); err != nil {
		return c.fail(err)
	}
	c.out = wire.AppendOK(c.out, c.req.ID)
	return nil
}

// commit applies the gathered writes and answers each. Its error, which is that
// of a store that is closed, ends the connection.
func (c *conn) commit() error {
	g := &c.writes
	if len(g.ids) == 0 {
		return nil
	}
	defer func() {
		g.reset()
		_ = c.resize(&g.size, 0)
	}()
	o := &c.writeOptions
	o.Durability = g.durability
	err := c.srv.store.Apply(c.ctx, &g.batch, o)
	c.srv.counters.commits.Add(1)
	if err != nil && len(g.ids) > 1 && mld.OutcomeOf(err) == mld.NotApplied && !c.hopeless(err) {
		return c.commitEach(o)
	}
	for _, id := range g.ids {
		if err := c.answerWrite(id, err); err != nil {
			return err
		}
	}
	return nil
}

// commitEach applies the gathered writes one by one: together they were refused,
// and it may be that only some of them are at fault.
func (c *conn) commitEach(o *mld.WriteOptions) error {
	g := &c.writes
	var one mld.Batch
	start := 0
	for i, id := range g.ids {
		one.Reset()
		one.Append(g.batch.Ops()[start:g.ends[i]]...)
		start = g.ends[i]
		if err := c.answerWrite(id, c.srv.store.Apply(c.ctx, &one, o)); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) answerWrite(id uint32, err error) error {
	switch {
	case err == nil:
		c.out = wire.AppendOK(c.out, id)
	case c.hopeless(err):
		return err
	default:
		c.out = wire.AppendError(c.out, c.dialect, id, err)
	}
	return nil
}

// reset makes ready for the next writes. The memory of many operations does not
// outlive them.
func (g *gathered) reset() {
	if cap(g.batch.Ops()) > 4*gatherOps {
		g.batch = mld.Batch{}
	}
	g.batch.Reset()
	g.ids, g.ends = g.ids[:0], g.ends[:0]
}

// snapshot takes or releases the snapshot that c.req names.
func (c *conn) snapshot() error {
	held, ok := c.snapshots[c.req.Snapshot]
	var err error
	switch {
	case c.req.Tag == wire.TagSnapshotClose && ok:
		// The client should have closed its iterators before.
		for _, it := range c.iterators {
			if it.snapshot == c.req.Snapshot {
				it.lose(&mld.Error{Code: mld.CodeSnapshotLost, Msg: "the snapshot was closed before its iterator"})
			}
		}
		delete(c.snapshots, c.req.Snapshot)
		err = held.Close()
	case c.req.Tag == wire.TagSnapshotClose:
	case ok:
		err = &mld.Error{Code: mld.CodeProtocol, Msg: fmt.Sprintf("this connection has a snapshot %d already", c.req.Snapshot)}
	case len(c.snapshots) >= c.srv.opts.Limits.Snapshots:
		err = errLimit("snapshots of a connection", c.srv.opts.Limits.Snapshots, "max-snapshots")
	default:
		var s mld.Snapshot
		if s, err = c.srv.store.NewSnapshot(c.ctx); err == nil {
			if c.snapshots == nil {
				c.snapshots = make(map[uint32]mld.Snapshot)
			}
			c.snapshots[c.req.Snapshot] = s
		}
	}
	if err != nil {
		return c.fail(err)
	}
	c.out = wire.AppendOK(c.out, c.req.ID)
	return nil
}

// stats answers with what the server and its store tell of themselves.
func (c *conn) stats() error {
	stats, err := c.srv.Stats(c.ctx)
	if err != nil {
		return c.fail(err)
	}
	text, err := json.Marshal(stats)
	if err != nil {
		return c.fail(err)
	}
	c.out = wire.AppendValue(c.out, c.req.ID, text)
	return nil
}
