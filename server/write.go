package server

import (
	"bytes"
	"context"
	"errors"
	"unsafe"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/store/reserved"
	"github.com/multileveldown/mld/wire"
)

const (
	// gatherBytes and gatherOps are how much of what arrived together is
	// applied together.
	gatherBytes = 1 << 20
	gatherOps   = 1024

	// gatherRanges is how many removals of ranges are applied together: what those
	// that overlap take of a store can grow with the square of their number.
	gatherRanges = 64

	// opSize is how many bytes an operation takes in memory beyond its key and
	// value: in the request, and in the batch.
	opSize = 2 * int(unsafe.Sizeof(mld.Op{}))
)

// gathered are writes that arrived together and are not applied yet. Their
// slices point into the input buffer, which holds still until more is read.
type gathered struct {
	batch      mld.Batch
	ranges     int            // removals of ranges in batch
	durability mld.Durability // of these, and of those in deferred
	size       int            // bytes that the lists of operations take, as far as they count as in flight
	writes     []pending

	// deferred are writes that the store has applied, for reads that came after
	// them, and has yet to make durable. They are answered after that.
	deferred []pending
	soft     bool // counted in Server.soft
}

// pending is a write that has no answer yet.
type pending struct {
	id     uint32
	end    int           // where its operations end in the batch
	number session.Write // its place in the session; no N is none
	err    *mld.Error    // why it is refused, once that is remembered
}

// reset makes ready for the next writes. The memory of many operations does not
// outlive them.
func (g *gathered) reset() {
	if cap(g.batch.Ops()) > 4*gatherOps {
		g.batch = mld.Batch{}
	}
	g.batch.Reset()
	g.ranges = 0
	clear(g.writes)
	g.writes = g.writes[:0]
}

// write refuses the write in c.req, or does it, or gathers it.
func (c *conn) write() error {
	if c.srv.opts.ReadOnly {
		return c.fail(mld.ErrReadOnly)
	}
	if failure := c.srv.failure.Load(); failure != nil {
		return c.fail(failure)
	}
	number, fresh, err := c.number()
	if err != nil || !fresh {
		return err
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
		return c.clear(number, durability)
	}
	c.req.Ops = ops
	if c.srv.opts.BeforeWrite != nil {
		w := Write{Kind: kind, Ops: ops, Durability: durability}
		if err := c.before(&w); err != nil {
			return c.refuse(number, err)
		}
		ops, durability = w.Ops, w.Durability
	}
	return c.gather(number, ops, durability)
}

// gather adds a write to those that are applied together.
func (c *conn) gather(number session.Write, ops []mld.Op, durability mld.Durability) error {
	for i := range ops {
		if ops[i].Kind == mld.OpDeleteRange {
			ops = aroundReserved(ops)
			break
		}
	}
	ranges := 0
	for i := range ops {
		switch {
		case ops[i].Kind == mld.OpDeleteRange:
			ranges++
		case mld.IsReserved(ops[i].Key):
			return c.refuse(number, errReserved(ops[i].Key))
		}
	}
	g := &c.writes
	if g.durability != durability {
		if fresh, err := c.commitBefore(number); err != nil || !fresh {
			return err
		}
		g.durability = durability
	}
	if len(ops) > gatherOps {
		// Many small operations take far more than their message.
		if err := c.resize(&g.size, g.size+len(ops)*opSize); err != nil {
			return c.refuse(number, err)
		}
	}
	g.batch.Append(ops...)
	g.ranges += ranges
	if number.N > 0 {
		c.session.Apply(number)
	}
	return c.add(pending{id: c.req.ID, number: number})
}

func (c *conn) add(p pending) error {
	g := &c.writes
	p.end = g.batch.Len()
	g.writes = append(g.writes, p)
	if g.batch.Size() >= gatherBytes || g.batch.Len() >= gatherOps || len(g.writes) >= gatherOps || g.ranges >= gatherRanges {
		return c.commit()
	}
	return nil
}

// refuse answers the write in c.req with err; one that is numbered, once that is
// remembered.
func (c *conn) refuse(number session.Write, err error) error {
	if number.N == 0 || c.hopeless(err) {
		return c.fail(err)
	}
	told := asTold(err)
	c.session.Refuse(number, told)
	return c.add(pending{id: c.req.ID, number: number, err: told})
}

// clear does the clear in c.req, or gathers it as the removal of a range.
func (c *conn) clear(number session.Write, durability mld.Durability) error {
	if number.N == 0 {
		if fresh, err := c.commitBefore(number); err != nil || !fresh {
			return err
		}
	}
	w := Write{Kind: WriteClear, Range: c.req.Range, Durability: durability}
	nothing := c.req.Limited && c.req.Range.Limit == 0
	if !nothing && c.srv.opts.BeforeWrite != nil {
		if err := c.before(&w); err != nil {
			return c.refuse(number, err)
		}
	}
	switch {
	case nothing && number.N == 0:
		c.out = wire.AppendOK(c.out, c.req.ID)
		return nil
	case nothing || w.Range.Empty():
		return c.gather(number, nil, w.Durability)
	case number.N == 0:
		return c.clearAtOnce(&w)
	case w.Range.Limit > 0:
		return c.clearFirst(number, &w)
	}
	lower, upper := w.Range.HalfOpen()
	return c.gather(number, []mld.Op{{Kind: mld.OpDeleteRange, Key: lower, Value: upper}}, w.Durability)
}

// clearAtOnce has the store do a clear that is not numbered.
func (c *conn) clearAtOnce(w *Write) error {
	if err := c.srv.clear(c.ctx, w); err != nil {
		return c.fail(err)
	}
	c.out = wire.AppendOK(c.out, c.req.ID)
	return nil
}

// clearFirst does a clear that is numbered and has a limit. It looks at the keys
// first, while the writes of other connections wait, and then removes all up to
// the last of them.
func (c *conn) clearFirst(number session.Write, w *Write) error {
	if fresh, err := c.commitBefore(number); err != nil || !fresh {
		return err
	}
	c.srv.writes.Lock()
	c.alone = true
	defer func() {
		c.alone = false
		c.srv.writes.Unlock()
	}()
	lower, upper := w.Range.HalfOpen()
	last, err := lastWithin(c.ctx, c.srv.visible, w.Range)
	switch {
	case err != nil:
		return c.fail(err)
	case last != nil && w.Range.Reverse:
		lower = last
	case last != nil:
		upper = append(last, 0)
	}
	if err := c.gather(number, []mld.Op{{Kind: mld.OpDeleteRange, Key: lower, Value: upper}}, w.Durability); err != nil {
		return err
	}
	return c.commit()
}

// lastWithin returns the key with which a range reaches its limit, or nil if it
// does not.
func lastWithin(ctx context.Context, r mld.Reader, rg mld.Range) ([]byte, error) {
	it, err := r.NewIterator(ctx, &mld.IterOptions{Range: rg, KeysOnly: true})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for n := range rg.Limit {
		if !it.Next() {
			return nil, it.Err()
		}
		if n == rg.Limit-1 {
			return append([]byte{}, it.Key()...), it.Err()
		}
	}
	return nil, nil
}

// commit applies the gathered writes and answers each, and those that are deferred.
// Its error ends the connection: it is that of a store that is closed, or of a call
// that was interrupted.
func (c *conn) commit() error {
	err := c.applyGathered(false)
	if hardErr := c.harden(); err == nil {
		err = hardErr
	}
	return err
}

// commitAhead applies the gathered writes, for a read that is next. Their answers can
// wait until what else was received is done, and so can what it costs to make
// them durable.
func (c *conn) commitAhead() error {
	if !c.srv.defers || len(c.writes.deferred)+len(c.writes.writes) > gatherOps {
		return c.commit()
	}
	return c.applyGathered(true)
}

// applyGathered applies the gathered writes, and answers them, or defers that.
func (c *conn) applyGathered(ahead bool) error {
	g := &c.writes
	if len(g.writes) == 0 {
		return nil
	}
	defer func() {
		g.reset()
		_ = c.resize(&g.size, 0)
	}()
	if mutantEarlyAck {
		return c.commitAfterAnswers()
	}
	o := &c.writeOptions
	o.Durability = g.durability
	numbered := c.session != nil && c.session.Dirty()
	hard := !ahead && g.batch.Len() > 0
	err := c.apply(&g.batch, o, numbered, ahead)
	switch {
	case err == nil && ahead:
		if numbered {
			c.session.Commit()
		}
		g.deferred = append(g.deferred, g.writes...)
		return nil
	case err == nil && numbered:
		c.session.Commit()
	case err != nil && c.hopeless(err):
		c.unsettle(numbered)
		return err
	case err != nil && mld.OutcomeOf(err) == mld.Unknown:
		c.unsettle(numbered)
	case err != nil && (numbered || len(g.writes) > 1):
		return c.commitEach(o)
	}
	if err == nil && hard {
		if err := c.hardened(nil); err != nil {
			return err
		}
	}
	return c.answerWrites(g.writes, err)
}

func (c *conn) answerWrites(writes []pending, err error) error {
	for i := range writes {
		if err := c.answerWrite(&writes[i], err); err != nil {
			return err
		}
	}
	return nil
}

// harden has the store make what is deferred durable, and answers it.
func (c *conn) harden() error {
	if !c.writes.soft {
		return nil
	}
	// What is visible must not be left as it is, whether the connection ends or not.
	err := c.srv.harden(context.WithoutCancel(c.ctx), c.writes.durability)
	if err != nil {
		c.unsettle(c.session != nil)
	}
	return c.hardened(err)
}

// hardened answers what is deferred: it has been made durable, or not, because of
// err.
func (c *conn) hardened(err error) error {
	g := &c.writes
	if g.soft {
		g.soft = false
		c.srv.soft.Add(-1)
	}
	defer func() {
		clear(g.deferred)
		g.deferred = g.deferred[:0]
	}()
	return c.answerWrites(g.deferred, err)
}

// harden has the store make durable what was deferred, by any connection.
func (s *Server) harden(ctx context.Context, d mld.Durability) error {
	err := mld.Harden(ctx, s.store, &mld.WriteOptions{Durability: d})
	s.noteWrite(err)
	return err
}

// commitEach applies the gathered writes one by one: together they were refused,
// and it may be that only some of them are at fault.
func (c *conn) commitEach(o *mld.WriteOptions) error {
	g := &c.writes
	if c.session != nil {
		c.session.Rollback()
	}
	var one mld.Batch
	start := 0
	for i := range g.writes {
		p := &g.writes[i]
		one.Reset()
		one.Append(g.batch.Ops()[start:p.end]...)
		start = p.end
		if err := c.answerWrite(p, c.commitOne(&one, p, o)); err != nil {
			return err
		}
	}
	return nil
}

// commitOne applies one write, or remembers, in the write too, why it is refused.
func (c *conn) commitOne(b *mld.Batch, p *pending, o *mld.WriteOptions) error {
	if p.number.N == 0 {
		return c.apply(b, o, false, false)
	}
	if p.err == nil {
		c.session.Apply(p.number)
		err := c.apply(b, o, true, false)
		if err == nil {
			c.session.Commit()
			return nil
		}
		if c.hopeless(err) || mld.OutcomeOf(err) != mld.NotApplied {
			c.unsettle(true)
			return err
		}
		c.session.Rollback()
		p.err = asTold(err)
	}
	c.session.Refuse(p.number, p.err)
	b.Reset()
	if err := c.apply(b, o, true, false); err != nil {
		c.unsettle(true)
		return err
	}
	c.session.Commit()
	return nil
}

// apply applies a batch, to which it adds the record of the session where the
// writes are numbered. It leaves it to harden to make it durable, if deferred.
func (c *conn) apply(b *mld.Batch, o *mld.WriteOptions, numbered, deferred bool) error {
	if !c.alone {
		c.srv.writes.RLock()
		defer c.srv.writes.RUnlock()
	}
	if mutantRecordOutside && numbered {
		return c.applyApart(b, o)
	}
	if numbered {
		if b.Len() == 0 {
			// Nothing but refusals. Should the machine lose power, they are
			// forgotten only by who need not repeat them: what was heard of
			// is not asked again.
			o = mld.NoSync
		}
		b.Append(c.session.Op())
	}
	var err error
	if deferred {
		if !c.writes.soft {
			c.writes.soft = true
			c.srv.soft.Add(1)
		}
		err = mld.ApplyDeferred(c.ctx, c.srv.store, b, o)
	} else {
		err = c.srv.store.Apply(c.ctx, b, o)
	}
	c.srv.counters.commits.Add(1)
	c.srv.noteWrite(err)
	return err
}

// unsettle takes note that nobody knows whether the record was stored. Where it
// cannot be read again now, the session tries once more before its next write.
func (c *conn) unsettle(numbered bool) {
	if numbered {
		_ = c.session.Reload()
	}
}

// answerWrite answers a write with err, or as was decided before.
func (c *conn) answerWrite(p *pending, err error) error {
	if err == nil && p.err != nil {
		err = p.err
	}
	switch {
	case err == nil:
		c.out = wire.AppendOK(c.out, p.id)
	case c.hopeless(err):
		return err
	default:
		c.out = wire.AppendError(c.out, c.dialect, p.id, err)
	}
	return nil
}

// aroundReserved returns operations that do the same and leave reserved keys
// alone.
func aroundReserved(ops []mld.Op) []mld.Op {
	var b mld.Batch
	for _, op := range ops {
		if op.Kind == mld.OpDeleteRange {
			reserved.DeleteRange(&b, op.Key, op.Value)
		} else {
			b.Append(op)
		}
	}
	return b.Ops()
}

func errReserved(key []byte) error {
	return &mld.Error{
		Code: mld.CodeReservedKey, Key: bytes.Clone(key),
		Msg: "the system keeps the keys that begin with it for itself; choose another",
	}
}

// noteWrite takes note of how a write of the store ended. After a failure of the
// system to write, what is in the store's log is not known, and a later write
// that succeeded would be a promise that nobody can keep.
func (s *Server) noteWrite(err error) {
	if err == nil || !errors.Is(err, mld.ErrIO) {
		return
	}
	if e, ok := errors.AsType[*mld.Error](err); ok && e.Remote {
		return // the other side's, which sees to it itself
	}
	failure := &mld.Error{Code: mld.CodeIO, Msg: "the server takes no more writes, since one failed (" + err.Error() + "); start it anew when the cause is mended"}
	if s.failure.CompareAndSwap(nil, failure) {
		s.opts.Logger.Error("a write failed, so that no more are taken", "err", err)
	}
}
