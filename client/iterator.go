package client

import (
	"context"
	"math"
	"slices"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

const (
	// pageBytes is how large messages of entries are asked for, in bytes. A
	// server of this project begins with small ones. Larger ones mean fewer
	// switches between the two ends, as long as one fits the send buffer of a unix
	// socket, which Linux gives 208 KiB: scans were a tenth faster than with 128
	// KiB, and with 224 a tenth slower.
	pageBytes = 192 << 10

	// credit is how many entries a multileveldown server may send ahead, and
	// creditAfter after how many that were taken it is set to that again.
	credit      = 32
	creditAfter = 16
)

// Iterator walks a range of the server's store. It is used by one goroutine at a
// time.
//
// The stream that it reads from can die in these ways: the connection is lost
// (see [Client]'s fate); it is closed by a server that drains; the server ends
// the iterator with an error. Only the last ends the walk. What makes the
// position survive the others is the last key that was returned: entries that
// were received are returned first, and only when there are no more is the
// iterator opened anew, on the next connection, for what is after that key and
// within what is left of the limit, in the state that the server keeps under the
// number of its lease. For that, keys are always asked for, also
// when only values are returned. The new bound replaces the one that the range
// had on that side, for some hosts obey the wrong one of two; their other ways
// to go on, bookmarks, lose keys in reverse.
//
// An iterator that has not returned from NewIterator is simply opened anew. An
// iterator whose end was received is not opened again.
//
// Three things are counted apart: the entries of the whole walk, which the limit
// bounds and a seek does not start anew; those taken since the iterator was
// opened on this connection, which a many-level host subtracts from the limit it
// was given then; and those received and not returned, which count for nothing,
// as a seek drops them.
type Iterator struct {
	c     *Client
	ctx   context.Context
	ended <-chan struct{}
	snap  *Snapshot

	rng        mld.Range
	keysOnly   bool
	valuesOnly bool
	strict     bool

	// The caller's goroutine alone.
	page       *page
	rest       []byte // of page
	key, value []byte // in page
	returned   int    // entries
	last       []byte // the last key returned since the last seek,
	hasLast    bool   // if one was
	target     []byte // of the last seek,
	sought     bool   // if there was one,
	seeking    bool   // and it is still to be done
	exhausted  bool
	taken      int // multileveldown: entries since credit was last set
	err        error
	closed     bool

	// Under the client's mutex.
	conn      *conn  // where it is open
	lease     uint64 // 0 before it is first to be opened
	resumed   bool   // it is opened anew, and nothing has come since
	id, seq   uint32
	open      wire.IteratorOpen // how it is, or is to be, opened
	opened    int               // returned, when it was opened
	narrowed  bool              // it is open for less than its range
	pages     []*page           // received
	remoteEnd bool              // and nothing more will be
	failure   error             // for this reason
	begun     bool              // NewIterator has returned it
	renewed   bool
	queued    bool // in a list of those that have something to send:
	opens     bool
	seeks     bool
	acks      int
	consumed  int    // what they say has been used up, of all messages
	received  int    // messages of entries
	marked    int    // received, when mark was taken
	mark      uint64 // a position in the connection's output, for heardLocked
	waiting   bool
	wake      chan struct{} // has room for one
}

var _ mld.Iterator = (*Iterator)(nil)

// NewIterator returns an iterator over a range, an [*Iterator]. It waits until
// the server has opened it.
func (c *Client) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	return c.newIterator(ctx, o, nil)
}

func (c *Client) newIterator(ctx context.Context, o *mld.IterOptions, s *Snapshot) (mld.Iterator, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o == nil {
		o = &mld.IterOptions{}
	}
	bounds := wireRange(o.Range)
	it := &Iterator{
		c:          c,
		ctx:        ctx,
		ended:      ctx.Done(),
		snap:       s,
		rng:        bounds.Clone(),
		keysOnly:   o.KeysOnly,
		valuesOnly: o.ValuesOnly,
		strict:     o.Strict,
		wake:       make(chan struct{}, 1),
	}
	size := rangeSize(&it.rng)
	c.mu.Lock()
	err := c.admitLocked(size)
	if err == nil {
		err = it.awaitLocked()
		c.dismissLocked(size)
	}
	it.begun = true
	c.mu.Unlock()
	if err != nil {
		it.fail(err)
		return nil, it.err
	}
	return it, nil
}

func rangeSize(r *mld.Range) int {
	return len(r.GT) + len(r.GTE) + len(r.LT) + len(r.LTE)
}

// Next moves to the next entry.
func (it *Iterator) Next() bool {
	for it.usable() && !it.spent() {
		if !it.seeking && it.take() {
			return true
		}
		if it.err != nil || it.exhausted && !it.seeking || !it.fetch() {
			break
		}
	}
	it.key, it.value = nil, nil
	return false
}

// usable reports whether nothing has ended the iterator for good.
func (it *Iterator) usable() bool {
	switch {
	case it.err != nil:
		return false
	case it.closed || it.c.closed.Load():
		it.fail(mld.ErrClosed)
		return false
	}
	select {
	case <-it.ended:
		it.fail(it.ctx.Err())
		return false
	default:
		return true
	}
}

// spent reports whether the limit is reached.
func (it *Iterator) spent() bool {
	return it.rng.Limit > 0 && it.returned >= it.rng.Limit
}

// take takes the next entry off the page.
func (it *Iterator) take() bool {
	key, rest, ok := wire.NextDatum(it.rest)
	if !ok {
		return false
	}
	var value []byte
	if !it.keysOnly || it.page.single {
		if value, rest, ok = wire.NextDatum(rest); !ok {
			it.fail(&mld.Error{Code: mld.CodeProtocol, Op: "iterate", Msg: "the server sent a key without its value"})
			return false
		}
	}
	it.key, it.value, it.rest = key, value, rest
	it.returned++
	if it.page.single {
		if it.taken++; it.taken == creditAfter {
			it.taken = 0
			it.acknowledge()
		}
	}
	return true
}

// fetch gets the next page. It returns false at the end and after an error.
func (it *Iterator) fetch() bool {
	if it.page != nil {
		it.last, it.hasLast = append(it.last[:0], it.key...), true
		it.dropPage()
	}
	c := it.c
	c.mu.Lock()
	if it.seeking {
		it.seeking = false
		it.seekLocked()
	}
	if err := it.awaitLocked(); err != nil {
		c.mu.Unlock()
		it.fail(err)
		return false
	}
	if len(it.pages) == 0 {
		it.exhausted = true
		c.mu.Unlock()
		return false
	}
	it.page = it.pages[0]
	it.rest = it.page.buf
	it.pages = slices.Delete(it.pages, 0, 1)
	// A many-level server may send another message for each one that is taken
	// up. It learns of those that were used up before, not of this one: what a
	// seek leaves of it must not count.
	if k := it.conn; k != nil && k.dialect == wire.ManyLevel && !it.remoteEnd {
		it.acks, it.consumed = it.acks+1, it.returned-it.opened
		it.queueLocked(k)
		c.sendAndUnlock(k, nil)
	} else {
		c.mu.Unlock()
	}
	return true
}

// acknowledge sets the credit of a multileveldown server again.
func (it *Iterator) acknowledge() {
	c := it.c
	c.mu.Lock()
	if k := it.conn; k != nil && !it.remoteEnd {
		it.acks = 1
		it.queueLocked(k)
		c.sendAndUnlock(k, nil)
	} else {
		c.mu.Unlock()
	}
}

// dropPage lets go of the page that Key and Value point into.
func (it *Iterator) dropPage() {
	it.key, it.value, it.rest = nil, nil, nil
	if it.page != nil {
		it.page.release()
		it.page = nil
	}
}

// awaitLocked waits until there are entries, or there will be none; where
// nothing is under way it opens the iterator. Its error ends the iterator.
func (it *Iterator) awaitLocked() error {
	c := it.c
	for {
		switch {
		case c.closed.Load():
			return mld.ErrClosed
		case len(it.pages) > 0 || it.remoteEnd:
			return nil
		case it.failure != nil:
			return it.failure
		case it.conn == nil && !it.queued:
			if err := it.openLocked(); err != nil {
				return err
			}
			continue
		}
		it.waiting = true
		if k := it.destinationLocked(); k == nil {
			c.mu.Unlock()
		} else if c.sendAndUnlock(k, it) {
			k.readAnswer(it.ctx, it.wake)
		}
		var err error
		select {
		case <-it.wake:
			c.mu.Lock()
			continue
		case <-it.ended:
			err = it.ctx.Err()
		}
		c.mu.Lock()
		if it.waiting {
			it.waiting = false
		} else {
			<-it.wake
		}
		return c.endedLocked(&call{}, err)
	}
}

// destinationLocked returns the connection that has the iterator's messages, or
// would get them; nil if there is none.
func (it *Iterator) destinationLocked() *conn {
	switch {
	case it.conn != nil:
		return it.conn
	case it.snap != nil && !it.snap.conn.dead:
		return it.snap.conn
	}
	return it.c.conn
}

// farAhead is more messages of entries than a server sends before it has read what
// it had been sent before the first of them: one of this project sends three ahead, in
// the multileveldown dialect as many as it has credit for.
const farAhead = 2 * credit

// heardLocked takes note of a message of entries: what was sent before those of
// farAhead messages ago must have been read.
func (it *Iterator) heardLocked(k *conn) {
	if it.received++; it.received-it.marked >= farAhead {
		k.read = max(k.read, it.mark)
		it.marked, it.mark = it.received, k.taken
	}
}

// wakeLocked wakes the iterator's goroutine if it waits.
func (it *Iterator) wakeLocked() {
	if it.waiting {
		it.waiting = false
		it.wake <- struct{}{}
	}
}

// openLocked has the iterator opened for what it has not returned yet.
func (it *Iterator) openLocked() error {
	r := it.rng
	narrowed := it.hasLast || it.sought
	switch {
	case it.hasLast && r.Reverse:
		r.LT, r.LTE = it.last, nil
	case it.hasLast:
		r.GT, r.GTE = it.last, nil
	case it.sought && !it.rng.Contains(it.target):
		it.remoteEnd = true
		return nil
	case it.sought && r.Reverse:
		r.LT, r.LTE = nil, it.target
	case it.sought:
		r.GT, r.GTE = nil, it.target
	}
	resume := it.lease != 0
	if it.snap != nil {
		if err := it.snap.usableLocked(); err != nil {
			return err
		}
	} else if !resume {
		if it.begun && it.strict {
			return errStrict
		}
		it.renewed = it.renewed || it.begun
		it.c.lastLease++
		it.lease = it.c.lastLease
	}
	it.resumed = resume && it.begun
	// A multileveldown host over LevelDB reads limits as 32 bits. One that it
	// cannot is kept at this end alone.
	limit := -1
	if left := r.Limit - it.returned; r.Limit > 0 && left <= math.MaxInt32 {
		limit = left
	}
	it.open = wire.IteratorOpen{
		Keys:      true,
		Values:    !it.keysOnly,
		Range:     wireRange(r),
		Limit:     limit,
		Credit:    credit,
		Snapshot:  it.snap.wireNumber(),
		PageBytes: pageBytes,
		Lease:     it.lease,
		Resume:    resume,
		Strict:    it.strict && it.begun,
	}
	if narrowed {
		it.open.Bounds = &it.rng
	}
	it.opened, it.narrowed, it.taken = it.returned, narrowed, 0
	it.opens = true
	if it.snap != nil && !it.snap.conn.dead {
		it.queueLocked(it.snap.conn)
		return nil
	}
	it.queued = true
	it.c.opening = append(it.c.opening, it)
	return nil
}

var errStrict = &mld.Error{Code: mld.CodeSnapshotLost, Op: "iterate", Msg: "the iterator would have to go on in a later state, and is strict"}

// admittedLocked reports whether a connection opens the iterator now. What
// depends on what the server is waits until that is known.
func (it *Iterator) admittedLocked(k *conn) bool {
	if !k.known && k.meeter != nil {
		return false
	}
	if !k.known && (it.snap != nil || it.open.Strict) {
		k.askLocked()
		return false
	}
	return true
}

// refusedLocked returns why a connection cannot open the iterator, or nil.
func (it *Iterator) refusedLocked(k *conn) error {
	if it.snap != nil {
		return it.snap.moveLocked(k)
	}
	if it.open.Strict && !k.offers(wire.FeatureLeases) {
		return errStrict
	}
	return nil
}

// queueLocked lists the iterator among those of a connection that have
// something to send.
func (it *Iterator) queueLocked(k *conn) {
	if !it.queued {
		it.queued = true
		k.dirty = append(k.dirty, it)
	}
}

// encodeLocked puts what the iterator has to send into the output.
func (it *Iterator) encodeLocked(k *conn) {
	it.queued = false
	if it.opens {
		if err := it.refusedLocked(k); err != nil {
			it.forgetLocked()
			it.failure = err
			it.wakeLocked()
			return
		}
		if k.lastIter == maxID {
			k.retireLocked(errNoIDs)
			it.lostLocked(errNoIDs)
			if it.snap != nil {
				it.failure = errSnapshotLost(errNoIDs)
			}
			return
		}
		k.lastIter++
		start := len(k.out)
		it.open.ID = k.lastIter
		k.out = wire.AppendIterator(k.out, k.dialect, &it.open)
		it.opens = false
		if err := k.checkSizeLocked(start); err != nil {
			it.failure = err
			it.wakeLocked()
			return
		}
		it.conn, it.id, it.seq = k, k.lastIter, 0
		it.received, it.marked, it.mark = 0, 0, 0
		k.iterators[it.id] = it
	}
	if it.seeks {
		it.seeks = false
		k.out = wire.AppendIteratorSeek(k.out, it.id, it.seq, it.target)
	}
	for ; it.acks > 0; it.acks-- {
		if k.dialect == wire.Multileveldown {
			k.out = wire.AppendIteratorCredit(k.out, it.id, credit)
		} else {
			k.out = wire.AppendIteratorAck(k.out, it.id, it.seq, uint64(it.consumed))
		}
	}
}

// lostLocked takes note that the connection that the iterator was open on, or
// was to be opened on, is lost. What was received stays.
func (it *Iterator) lostLocked(cause error) {
	it.conn = nil
	it.forgetLocked()
	if !it.c.retries(cause) && !it.remoteEnd && it.failure == nil {
		it.failure = lostError(cause)
	}
	it.wakeLocked()
}

// forgetLocked forgets what was to be sent.
func (it *Iterator) forgetLocked() {
	it.queued, it.opens, it.seeks, it.acks = false, false, false, 0
}

// closeRemoteLocked closes the iterator at the server, or keeps it from being
// opened, and drops what was received.
func (it *Iterator) closeRemoteLocked() {
	if k := it.conn; k != nil {
		k.closes = append(k.closes, it.id)
		k.wakeLocked()
	} else if it.lease != 0 && (!it.opens || it.open.Resume) {
		it.c.leaveLocked(leftover{lease: it.lease})
		it.lease = 0
	}
	it.leaveLocked()
}

// leaveLocked forgets where the iterator is open, or was to be, and drops what was
// received.
func (it *Iterator) leaveLocked() {
	isIt := func(other *Iterator) bool { return other == it }
	if k := it.destinationLocked(); it.queued && k != nil {
		k.dirty = slices.DeleteFunc(k.dirty, isIt)
	}
	if it.queued {
		it.c.opening = slices.DeleteFunc(it.c.opening, isIt)
	}
	if k := it.conn; k != nil {
		delete(k.iterators, it.id)
		k.retireIfIdleLocked()
	}
	it.conn = nil
	it.forgetLocked()
	it.dropPagesLocked()
}

func (it *Iterator) dropPagesLocked() {
	for _, p := range it.pages {
		p.release()
	}
	clear(it.pages)
	it.pages = it.pages[:0]
}

// Seek makes the next call of Next go to target. What it takes is sent by that
// call. Hosts of the npm packages cannot seek in the multileveldown dialect, nor
// in either after the iterator has been opened anew: there it is opened anew in a
// later state, see [Iterator.Renewed].
func (it *Iterator) Seek(target []byte) {
	if it.err != nil || it.closed {
		return
	}
	it.target = append(it.target[:0], target...)
	it.sought, it.seeking = true, true
	it.dropPage()
}

func (it *Iterator) seekLocked() {
	it.dropPagesLocked()
	it.hasLast, it.exhausted, it.remoteEnd = false, false, false
	if it.conn == nil || it.failure != nil {
		return
	}
	// The server knows the bounds of all of it, also if it was opened for less.
	leased := it.lease != 0 && it.conn.offers(wire.FeatureLeases)
	switch {
	case it.conn.dialect != wire.Multileveldown && (leased || !it.narrowed):
		it.seq++
		it.acks = 0
		it.seeks = true
		it.queueLocked(it.conn)
	case leased:
		// A new opening takes the state over from this one.
		it.leaveLocked()
	default:
		it.closeRemoteLocked()
		it.lease = 0
	}
}

// Key returns the key, nil of a values-only iterator.
func (it *Iterator) Key() []byte {
	if it.valuesOnly {
		return nil
	}
	return it.key
}

// Value returns the value, nil of a keys-only iterator.
func (it *Iterator) Value() []byte {
	if it.keysOnly {
		return nil
	}
	return it.value
}

// Err returns what ended the walk early.
func (it *Iterator) Err() error { return it.err }

// Renewed reports whether the iterator had to be opened in a later state of the
// store than the one of NewIterator, of which entries are from then on.
func (it *Iterator) Renewed() bool {
	it.c.mu.Lock()
	defer it.c.mu.Unlock()
	return it.renewed
}

// Close releases the iterator and returns what Err does.
func (it *Iterator) Close() error {
	if !it.closed {
		it.closed = true
		it.dropPage()
		it.c.mu.Lock()
		it.closeRemoteLocked()
		it.c.mu.Unlock()
	}
	return it.err
}

// fail ends the iterator for good.
func (it *Iterator) fail(err error) {
	e, ok := err.(*mld.Error)
	if ok && e.Op == "" {
		d := *e
		d.Op = "iterate"
		err = &d
	}
	it.err = err
	it.dropPage()
	it.c.mu.Lock()
	it.closeRemoteLocked()
	it.c.mu.Unlock()
}
