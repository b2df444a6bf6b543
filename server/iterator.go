package server

import (
	"bytes"
	"context"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// iterator is one that a client has open. One that has ended stays until the
// client closes it: a late grant must not be taken for the opening of a new one,
// and a seek may revive it.
type iterator struct {
	id, seq  uint32
	it       mld.Iterator // nil where there is nothing to read or err is set
	err      error        // why it cannot be read
	snapshot uint32       // what it reads; 0 is the store
	flow     wire.Flow
	ended    bool

	keys, values bool

	// The limit is kept here and not by it, which reads ahead of the client: a
	// seek gives back what was sent and not used.
	limited  bool
	limit    uint64
	consumed uint64 // entries that the client is known to have used
	counted  uint64 // entries that count against the limit

	// skip is a key that is passed over if it comes first; nil is none.
	skip []byte

	leasing
}

func (it *iterator) close() {
	if it.it != nil {
		it.it.Close()
		it.it = nil
	}
}

// lose has the iterator fail with err from now on.
func (it *iterator) lose(err error) {
	it.close()
	it.err = err
}

// iterate executes the iterator message in c.req. What it allows is sent at
// once, so nothing of an iterator follows its close.
func (c *conn) iterate() error {
	it, live := c.iterators[c.req.ID]
	switch c.req.Tag {
	case wire.TagIteratorClose:
		c.closeIterator(it)
		return nil
	case wire.TagIteratorAck:
		if !live || c.req.Seq != it.seq {
			return nil
		}
		it.consumed = max(it.consumed, c.req.Consumed)
		it.flow.Grant(&c.req)
		return c.pump(it)
	case wire.TagIteratorSeek:
		if !live {
			return c.fail(&mld.Error{Code: mld.CodeInvalidArgument, Msg: "a seek of an iterator that is not open"})
		}
		it.seek(c.req.Seq, c.req.Seek)
		return c.pump(it)
	}
	switch {
	case c.dialect == wire.Multileveldown && c.req.Credit == 0:
		c.closeIterator(it)
		return nil
	case live && c.dialect == wire.Multileveldown:
		it.flow.Grant(&c.req)
		return c.pump(it)
	case live:
		return nil // as the npm server does: it is open
	}
	return c.openIterator()
}

func (c *conn) closeIterator(it *iterator) {
	if it != nil {
		c.srv.discard(it)
		delete(c.iterators, it.id)
	}
}

func (c *conn) openIterator() error {
	req := &c.req
	var held *iterator // that the client asks for again
	if req.Lease > 0 && c.tenant != nil {
		held = c.claim(req.Lease)
	}
	if err := c.admitIterator(); err != nil {
		if held != nil {
			held.close()
		}
		return c.fail(err)
	}
	it := &iterator{
		id: req.ID, seq: req.Seq, snapshot: req.Snapshot,
		flow:    wire.NewFlow(c.dialect, req, c.srv.opts.Limits.Page),
		keys:    !req.ValuesOnly,
		values:  !req.KeysOnly,
		limited: req.Limited, limit: uint64(req.Range.Limit),
		consumed: req.Consumed, counted: req.Consumed,
	}
	if c.iterators == nil {
		c.iterators = make(map[uint32]*iterator)
	}
	c.iterators[it.id] = it
	switch {
	case req.Lease > 0 && c.tenant != nil:
		c.openLeased(it, held)
	case !it.limited || it.limit > 0:
		it.it, it.err = c.newIterator(c.ctx, c.req.Range)
	}
	switch {
	case it.it == nil:
	case req.Seek != nil:
		it.goTo(req.Seek)
	case req.Bookmark != nil && !isBefore(req.Bookmark, &req.Range):
		it.it.Seek(req.Bookmark)
		it.skip = append([]byte{}, req.Bookmark...)
	}
	return c.pump(it)
}

// admitIterator counts one more iterator, unless there are as many as may be.
func (c *conn) admitIterator() error {
	l := &c.srv.opts.Limits
	if len(c.iterators) >= l.Iterators {
		return errLimit("iterators of a connection", l.Iterators, "max-iterators")
	}
	return admit(&c.srv.iterators, "iterators of all connections", l.TotalIterators, "max-total-iterators")
}

// newIterator opens what c.req asks for, without its limit, over a range.
func (c *conn) newIterator(ctx context.Context, rg mld.Range) (mld.Iterator, error) {
	r, err := c.reader()
	if err != nil {
		return nil, err
	}
	rg.Limit = 0
	return r.NewIterator(ctx, &mld.IterOptions{Range: rg, KeysOnly: c.req.KeysOnly})
}

// isBefore reports whether key is before a range, in its direction.
func isBefore(key []byte, r *mld.Range) bool {
	start, end := mld.Range{GT: r.GT, GTE: r.GTE}, mld.Range{LT: r.LT, LTE: r.LTE}
	if r.Reverse {
		start, end = end, start
	}
	return !start.Contains(key) && end.Contains(key)
}

func (it *iterator) seek(seq uint32, target []byte) {
	it.seq, it.ended, it.skip = seq, false, nil
	it.counted = it.consumed
	it.flow.Restart()
	if it.it != nil {
		it.goTo(target)
	}
}

// passes reports whether the entry that the store's iterator came to first is
// passed over.
func (it *iterator) passes(key []byte) bool {
	if !it.moved {
		it.took(key)
	}
	skip := it.skip
	it.skip = nil
	return skip != nil && bytes.Equal(key, skip)
}

// none is a key or a value of no bytes.
var none = []byte{}

// readable reports whether there may be a next entry.
func (it *iterator) readable() bool { return it.it != nil && !it.barred && !it.full() }

// full reports whether the limit is reached.
func (it *iterator) full() bool { return it.limited && it.counted >= it.limit }

// pump sends as much as the client has allowed.
func (c *conn) pump(it *iterator) error {
	for !it.ended {
		most, size := it.flow.Allowance()
		if most == 0 {
			return nil
		}
		if size <= flushSize {
			// A client that does not read should cost one buffer of answers,
			// not one and a page.
			size = min(size, flushSize-len(c.out))
		}
		if err := c.page(it, most, size); err != nil {
			return err
		}
		if err := c.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// page appends one entry at least, up to a number of them and beyond a number of
// bytes, and the end if it comes.
func (c *conn) page(it *iterator, most, size int) error {
	var page wire.Page
	c.out = page.Begin(c.out, c.dialect, it.id, it.seq)
	last := most
	if it.limited {
		last = int(min(uint64(most), it.limit-it.counted))
	}
	var err error
	more := it.readable() && mld.Walk(it.it, func(key, value []byte) bool {
		if (!it.moved || it.skip != nil) && it.passes(key) {
			return true
		}
		if err = c.room(len(key) + len(value) + overhead); err != nil {
			return false
		}
		if !it.keys {
			key = nil
		} else if key == nil {
			key = none
		}
		if !it.values {
			value = nil
		} else if value == nil {
			value = none
		}
		c.out = page.Add(c.out, key, value)
		return page.Entries() < last && page.Size(c.out) < size
	})
	if err != nil {
		it.lose(err)
	}
	it.counted += uint64(page.Entries())
	// A limit that is reached with the last entry that was allowed is told of when
	// there is room for the end, which is allowed like an entry.
	allowed := page.Entries() < most && page.Size(c.out) < size
	it.ended = !more || err != nil || allowed && it.full()
	c.out = page.End(c.out)
	if page.Entries() > 0 {
		it.flow.Sent(page.Entries())
	}
	if it.ended {
		return c.endIterator(it)
	}
	return nil
}

// endIterator tells the client that, and why, an iterator has ended.
func (c *conn) endIterator(it *iterator) error {
	err := it.err
	if it.it != nil {
		err = it.it.Err()
	}
	switch {
	case err == nil:
		c.out = wire.AppendIteratorEnd(c.out, c.dialect, it.id, it.seq)
	case c.hopeless(err):
		return err
	default:
		c.out = wire.AppendIteratorError(c.out, c.dialect, it.id, it.seq, err)
	}
	if c.dialect == wire.Multileveldown && it.lease == 0 {
		it.close() // no seek and no resumption can revive it, so its snapshot can go
	}
	return nil
}
