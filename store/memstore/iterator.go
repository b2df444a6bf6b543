package memstore

import (
	"context"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/multileveldown/mld"
)

// cursor walks a range of a tree that does not change meanwhile.
type cursor struct {
	tree *tree
	r    mld.Range
	// lower and upper are the bounds as lower <= key < upper, nil where there
	// is none.
	lower, upper []byte
	it           btree.IterG[mld.Entry]
	state        cursorState
	left         int // of the limit; less than 0 is no limit
}

type cursorState uint8

const (
	atStart cursorState = iota // before the first entry of the range
	sought                     // on an entry that next has yet to return
	onEntry
	atEnd
)

// newCursor returns a cursor before the first entry. Once it has been moved it
// must not be copied.
func newCursor(t *tree, r mld.Range) cursor {
	c := cursor{tree: t, r: r, left: -1}
	c.lower, c.upper = r.HalfOpen()
	if r.Limit > 0 {
		c.left = r.Limit
	}
	return c
}

func (c *cursor) entry() mld.Entry { return c.it.Item() }

func (c *cursor) next() bool {
	if c.left == 0 {
		return false
	}
	var ok bool
	switch c.state {
	case atStart:
		ok = c.first()
	case sought:
		ok = true
	case onEntry:
		if c.r.Reverse {
			ok = c.it.Prev()
		} else {
			ok = c.it.Next()
		}
	}
	if !ok || !c.r.Contains(c.it.Item().Key) {
		c.state = atEnd
		return false
	}
	c.state = onEntry
	c.left--
	return true
}

// first goes to the first entry in the direction of the range.
func (c *cursor) first() bool {
	c.it.Init(c.tree, false)
	switch {
	case !c.r.Reverse && c.lower == nil:
		return c.it.First()
	case !c.r.Reverse:
		return c.it.Seek(mld.Entry{Key: c.lower})
	case c.upper == nil:
		return c.it.Last()
	default:
		return c.before(c.upper)
	}
}

// before goes to the last entry whose key is less than bound.
func (c *cursor) before(bound []byte) bool {
	if c.it.Seek(mld.Entry{Key: bound}) {
		return c.it.Prev()
	}
	return c.it.Last()
}

// seek makes the next call of next return the entry at target or the one behind
// it.
func (c *cursor) seek(target []byte) {
	c.state = atEnd
	if !c.r.Contains(target) {
		return
	}
	c.it.Init(c.tree, false)
	var ok bool
	if c.r.Reverse {
		after := append(append(make([]byte, 0, len(target)+1), target...), 0)
		ok = c.before(after)
	} else {
		ok = c.it.Seek(mld.Entry{Key: target})
	}
	if ok {
		c.state = sought
	}
}

// iterator is a cursor with the manners of an [mld.Iterator].
type iterator struct {
	ctx         context.Context
	storeClosed *atomic.Bool
	closed      bool
	err         error
	keys        bool
	values      bool
	cursor      cursor
}

// newIterator returns an iterator over a tree that nobody writes to. It fails
// once storeClosed is set.
func newIterator(ctx context.Context, t *tree, storeClosed *atomic.Bool, o *mld.IterOptions) (mld.Iterator, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o == nil {
		o = &mld.IterOptions{}
	}
	return &iterator{
		ctx:         ctx,
		storeClosed: storeClosed,
		keys:        !o.ValuesOnly,
		values:      !o.KeysOnly,
		cursor:      newCursor(t, o.Range.Clone()),
	}, nil
}

func (it *iterator) Next() bool {
	if it.err != nil {
		return false
	}
	if it.closed {
		it.err = closedError("iterate", "iterator")
	} else if it.storeClosed.Load() {
		it.err = closedError("iterate", "store")
	} else {
		it.err = it.ctx.Err()
	}
	return it.err == nil && it.cursor.next()
}

func (it *iterator) Seek(target []byte) {
	if it.err == nil && !it.closed {
		it.cursor.seek(target)
	}
}

func (it *iterator) Key() []byte {
	if !it.keys {
		return nil
	}
	return it.cursor.entry().Key
}

func (it *iterator) Value() []byte {
	if !it.values {
		return nil
	}
	return it.cursor.entry().Value
}

func (it *iterator) Err() error { return it.err }

// Close lets go of the state that the iterator reads.
func (it *iterator) Close() error {
	it.closed, it.cursor = true, cursor{}
	return it.err
}
