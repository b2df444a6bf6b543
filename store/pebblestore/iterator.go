package pebblestore

import (
	"bytes"
	"context"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/multileveldown/mld"
)

var _ mld.Walker = (*iterator)(nil)

// iterator is a pebble.Iterator with the manners of an [mld.Iterator].
type iterator struct {
	s            *Store
	ctx          context.Context
	reverse      bool
	keys, values bool
	lower, upper []byte // lower <= stored key < upper; nil is none

	// mu guards what follows against Store.Close, which leaves an iterator
	// alone while it is on an entry: Key and Value need no lock.
	mu    sync.Mutex
	p     *pebble.Iterator // nil when the range is empty, and once it is closed
	state state
	here  bool // on an entry; written by the iterator's own goroutine only
	left  int  // of the limit; less than 0 is no limit
	err   error
}

type state uint8

const (
	atStart state = iota // before the first entry of the range
	sought               // on an entry that Next has yet to come to
	onEntry
	atEnd // also where a seek found nothing
	closed
)

// newIterator returns an iterator over r, the database or a snapshot of it. It is
// called within a call of the store.
func (s *Store) newIterator(ctx context.Context, r pebble.Reader, o *mld.IterOptions) (mld.Iterator, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o == nil {
		o = &mld.IterOptions{}
	}
	it := &iterator{s: s, ctx: ctx, reverse: o.Reverse, keys: !o.ValuesOnly, values: !o.KeysOnly, left: -1}
	if o.Limit > 0 {
		it.left = o.Limit
	}
	lower, upper := storedBounds(&o.Range)
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		it.state = atEnd
		it.lower, it.upper = []byte{}, []byte{}
	} else {
		it.lower, it.upper = bytes.Clone(lower), bytes.Clone(upper)
		p, err := r.NewIterWithContext(ctx, bounds(it.lower, it.upper))
		if err != nil {
			return nil, s.wrap("iterate", nil, err)
		}
		it.p = p
	}
	s.hold(it)
	return it, nil
}

func (it *iterator) Next() bool {
	it.mu.Lock()
	defer it.mu.Unlock()
	return it.usable() && it.next()
}

// walkChecks is how many entries a walk goes before it looks whether the context or
// the store has ended.
const walkChecks = 64

// Walk implements [mld.Walker]. A Close of the store waits for it.
func (it *iterator) Walk(f func(key, value []byte) bool) bool {
	it.mu.Lock()
	defer it.mu.Unlock()
	for it.usable() {
		for range walkChecks {
			var ok bool
			switch {
			case it.state != onEntry || it.left >= 0:
				ok = it.step()
			case it.reverse:
				ok = it.p.Prev()
			default:
				ok = it.p.Next()
			}
			if !ok {
				it.ended()
				return false
			}
			var key, value []byte
			if it.keys {
				key = original(it.p.Key())
			}
			if it.values {
				var err error
				if value, err = it.p.ValueAndErr(); err != nil {
					it.valueFailed(err)
					return false
				}
			}
			if !f(key, value) {
				return true
			}
		}
	}
	return false
}

// next moves to the next entry, or notes the end. It is called with mu held.
func (it *iterator) next() bool {
	ok := it.step()
	if !ok {
		it.ended()
	}
	return ok
}

// step is next without a note of the end.
func (it *iterator) step() bool {
	var ok bool
	switch {
	case it.left == 0 || it.state == atEnd:
	case it.state == onEntry && !it.reverse:
		ok = it.p.Next()
	case it.state == onEntry:
		ok = it.p.Prev()
	case it.state == sought:
		ok = true
	case it.state == atStart && it.reverse:
		ok = it.p.Last()
	case it.state == atStart:
		ok = it.p.First()
	}
	if ok {
		it.here = true
		it.state = onEntry
		it.left--
	}
	return ok
}

// ended notes that the walk came to an end, and why.
func (it *iterator) ended() {
	it.here = false
	it.state = atEnd
	if it.p != nil {
		it.err = it.s.wrap("iterate", nil, it.p.Error())
	}
	if it.err == nil {
		it.err = it.s.failure.error("iterate", it.s.dir)
	}
}

func (it *iterator) Seek(target []byte) {
	it.mu.Lock()
	defer it.mu.Unlock()
	if it.state == closed || !it.usable() {
		return
	}
	it.here = false
	target = stored(target)
	if bytes.Compare(target, it.lower) < 0 || it.upper != nil && bytes.Compare(target, it.upper) >= 0 {
		it.state = atEnd
		return
	}
	var ok bool
	if it.reverse {
		ok = it.p.SeekLT(after(target))
	} else {
		ok = it.p.SeekGE(target)
	}
	if ok {
		it.state = sought
	} else {
		it.ended()
	}
}

// usable reports whether the iterator may move, and notes in err why not. It is
// called with mu held.
func (it *iterator) usable() bool {
	if it.err == nil {
		switch {
		case it.state == closed:
			it.err = it.s.closedError("iterate", "iterator")
		case it.s.closed.Load():
			it.err = it.s.closedError("iterate", "store")
		default:
			it.err = it.ctx.Err()
		}
	}
	if it.err != nil {
		it.let()
	}
	return it.err == nil
}

// Key returns the key in Pebble's memory.
func (it *iterator) Key() []byte {
	if !it.keys || !it.here {
		return nil
	}
	return original(it.p.Key())
}

// Value returns the value in Pebble's memory. It is only now that a value which
// is stored apart from its key is read; if that fails, Err tells, and the walk
// ends.
func (it *iterator) Value() []byte {
	if !it.values || !it.here {
		return nil
	}
	value, err := it.p.ValueAndErr()
	if err != nil {
		it.valueFailed(err)
	}
	return value
}

// valueFailed notes why a value could not be read.
func (it *iterator) valueFailed(err error) {
	if it.err == nil {
		it.err = it.s.wrap("iterate", original(it.p.Key()), err)
	}
}

func (it *iterator) Err() error {
	it.mu.Lock()
	defer it.mu.Unlock()
	return it.err
}

func (it *iterator) Close() error {
	it.mu.Lock()
	defer it.mu.Unlock()
	it.let()
	return it.err
}

// let closes the Pebble iterator and says so to the store. It is called with mu
// held, and may be called again.
func (it *iterator) let() {
	if it.state == closed {
		return
	}
	it.state = closed
	if it.here {
		it.here = false
	}
	var err error
	if it.p != nil {
		err = it.s.wrap("iterate", nil, it.p.Close())
		it.p = nil
	}
	it.err = first(it.err, err, it.s.release(it))
}

// storeClosed implements holder. What was lent to the caller cannot be taken
// back: an iterator on an entry lets go when it is next used.
func (it *iterator) storeClosed() {
	it.mu.Lock()
	defer it.mu.Unlock()
	if !it.here {
		if it.err == nil {
			it.err = it.s.closedError("iterate", "store")
		}
		it.let()
	}
}
