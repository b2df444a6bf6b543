package server

import (
	"bytes"
	"fmt"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// leasing is what it takes for an iterator to go on with the client's next
// connection. The store's iterator has no bound where the client's range begins,
// for the next opening may begin elsewhere.
type leasing struct {
	lease  uint64 // the client's number; 0 is none
	opened time.Time
	rng    mld.Range // that bounds seeks

	barred bool   // the last seek went to before the range
	moved  bool   // the store's iterator is not where it was at first
	last   []byte // the last key of all, if it is known: where a reverse walk without bound began
}

// openLeased goes on with the iterator that is held for c.req, or opens one.
func (c *conn) openLeased(it, held *iterator) {
	req := &c.req
	it.lease, it.opened, it.rng = req.Lease, time.Now(), req.Range.Clone()
	if req.Narrowed {
		it.rng = req.Bounds.Clone()
	}
	if held != nil && (!req.Resume || !it.adopt(held, &req.Range)) {
		held.close()
		held = nil
	}
	switch {
	case it.limited && it.limit == 0:
		it.close()
		return
	case held != nil:
		c.srv.counters.resumed.Add(1)
		return
	case req.Resume && req.Snapshot == 0 && req.Strict:
		it.err = &mld.Error{Code: mld.CodeSnapshotLost, Msg: fmt.Sprintf("the server does not keep iterator %d: its connection was lost for too long (snapshot-lease), "+
			"it was too old (max-snapshot-age) or one too many (max-client-leases, max-leases), or this is another process", req.Lease)}
		return
	}
	rg := it.rng
	if rg.Reverse {
		rg.LT, rg.LTE = nil, nil
	} else {
		rg.GT, rg.GTE = nil, nil
	}
	if it.it, it.err = c.newIterator(c.srv.ctx, rg); it.err != nil {
		return
	}
	it.begin(&req.Range)
	if req.Resume && req.Snapshot == 0 {
		c.srv.counters.renewed.Add(1)
		c.out = wire.AppendRenewed(c.out, it.id)
	}
}

// adopt goes on with the store's iterator of an older opening, from where a range
// begins. It reports whether it can: whether that reads what is asked for.
func (it *iterator) adopt(held *iterator, from *mld.Range) bool {
	a, b := &it.rng, &held.rng
	same := it.snapshot == held.snapshot && it.values == held.values && a.Reverse == b.Reverse
	if a.Reverse {
		same = same && sameBound(a.GT, b.GT) && sameBound(a.GTE, b.GTE)
	} else {
		same = same && sameBound(a.LT, b.LT) && sameBound(a.LTE, b.LTE)
	}
	if !same {
		return false
	}
	it.opened, it.moved, it.last = held.opened, held.moved, held.last
	it.it = held.it
	if !it.begin(from) {
		it.it = nil
		return false
	}
	return true
}

func sameBound(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// begin goes to where a range begins. It reports whether it can: not if that is
// the last key of all, and it never was there.
func (it *iterator) begin(r *mld.Range) bool {
	lower, upper := r.HalfOpen()
	switch {
	case !r.Reverse && lower != nil:
		it.move(lower)
	case !r.Reverse && it.moved:
		it.move([]byte{})
	case r.Reverse && upper != nil:
		it.move(upper)
		it.skip = bytes.Clone(upper)
	case r.Reverse && it.moved && it.last == nil:
		return false
	case r.Reverse && it.moved:
		it.move(it.last)
	}
	return true
}

// goTo does a seek of the client. A target before the range gives no entry.
func (it *iterator) goTo(target []byte) {
	it.barred = it.lease > 0 && isBefore(target, &it.rng)
	it.move(target)
}

func (it *iterator) move(target []byte) {
	it.it.Seek(target)
	it.moved = true
}

// took takes note of the key that the store's iterator has moved to.
func (l *leasing) took(key []byte) {
	if !l.moved && l.rng.Reverse {
		l.last = append([]byte{}, key...)
	}
	l.moved = true
}
