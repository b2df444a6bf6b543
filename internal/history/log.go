package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/multileveldown/mld"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations. Write is a put, a delete or a batch.
const (
	Get Kind = iota + 1
	Scan
	Write
	Clear
)

// Op is one operation of a client.
type Op struct {
	// Client is who did it; each does one at a time.
	Client int
	// Call and Return are when it began and ended, by one clock for all.
	Call, Return int64

	Kind Kind
	// Keys are those of a Get, and Values what it found, nil where there was
	// nothing.
	Keys   [][]byte
	Values [][]byte
	// Range is that of a Scan or a Clear, and Entries what a Scan found.
	Range   mld.Range
	Entries []mld.Entry
	// Changes are those of a Write, in order: puts and deletes.
	Changes []mld.Op
	// Outcome is what became of a Write or a Clear.
	Outcome mld.Outcome
}

// String returns the operation on one line.
func (o *Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "client %d, %d to %d: ", o.Client, o.Call, o.Return)
	b.WriteString(o.describe())
	return b.String()
}

func (o *Op) describe() string {
	var b strings.Builder
	switch o.Kind {
	case Get:
		b.WriteString("get")
		for i, key := range o.Keys {
			fmt.Fprintf(&b, " %s=%s", key, value(o.Values[i]))
		}
	case Scan:
		fmt.Fprintf(&b, "scan%s:", bounds(o.Range))
		for _, e := range o.Entries {
			fmt.Fprintf(&b, " %s=%s", e.Key, value(e.Value))
		}
	case Clear:
		fmt.Fprintf(&b, "clear%s", bounds(o.Range))
	case Write:
		for i, c := range o.Changes {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%v %s", c.Kind, c.Key)
			if c.Kind == mld.OpPut {
				fmt.Fprintf(&b, "=%s", value(c.Value))
			}
		}
	}
	switch {
	case o.Kind == Get || o.Kind == Scan:
	case o.Outcome == mld.NotApplied:
		b.WriteString(" (not applied)")
	case o.Outcome == mld.Unknown:
		b.WriteString(" (unknown)")
	}
	return b.String()
}

func value(v []byte) string {
	if v == nil {
		return "none"
	}
	return string(v)
}

func bounds(r mld.Range) string {
	var b strings.Builder
	for _, side := range []struct {
		sign  string
		bound []byte
	}{{">", r.GT}, {">=", r.GTE}, {"<", r.LT}, {"<=", r.LTE}} {
		if side.bound != nil {
			fmt.Fprintf(&b, " %s%s", side.sign, side.bound)
		}
	}
	if r.Reverse {
		b.WriteString(" reverse")
	}
	if r.Limit > 0 {
		fmt.Fprintf(&b, " limit %d", r.Limit)
	}
	return b.String()
}

// Log is a history that grows. The zero Log is empty. Its methods may be called
// together.
type Log struct {
	// Clock, where it is set, returns the times of operations: each later than
	// all that were returned before. Logs with one clock have one history.
	Clock func() int64
	// Journal, where it is set, has a write before that is begun, and every
	// operation when it has ended: see [ReadJournal].
	Journal *Journal

	mu    sync.Mutex // everything below
	clock int64
	ops   []Op
}

// Ops returns the operations that have ended.
func (l *Log) Ops() []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ops)
}

// now returns a time later than all that it returned before.
func (l *Log) now() int64 {
	if l.Clock != nil {
		return l.Clock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	return l.clock
}

// add adds an operation, which ends now if it has not ended before.
func (l *Log) add(o Op) {
	if o.Return == 0 {
		o.Return = l.now()
	}
	l.Journal.write(&o)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, o)
}

// Client records what is done through it to a store. One goroutine uses it at a
// time.
type Client struct {
	log   *Log
	id    int
	store mld.Store
}

// Client returns a client of a store, whose number should be its own.
func (l *Log) Client(id int, store mld.Store) *Client { return &Client{l, id, store} }

// Get gets the values of keys, of one state; nil where there is none.
func (c *Client) Get(ctx context.Context, keys ...[]byte) ([][]byte, error) {
	o := Op{Client: c.id, Call: c.log.now(), Kind: Get, Keys: clone(keys)}
	var err error
	if len(keys) == 1 {
		var v []byte
		if v, err = c.store.Get(ctx, keys[0]); err == nil {
			o.Values = [][]byte{append([]byte{}, v...)} // an empty value is not nil
		} else if errors.Is(err, mld.ErrNotFound) {
			o.Values, err = [][]byte{nil}, nil
		}
	} else {
		o.Values, err = c.store.GetMany(ctx, keys)
	}
	if err != nil {
		return nil, err
	}
	c.log.add(o)
	return o.Values, nil
}

// Scan reads the entries of a range, of the state when the iterator was made:
// what is done while it walks is later.
func (c *Client) Scan(ctx context.Context, r mld.Range) ([]mld.Entry, error) {
	o := Op{Client: c.id, Call: c.log.now(), Kind: Scan, Range: r.Clone()}
	it, err := c.store.NewIterator(ctx, &mld.IterOptions{Range: r, Strict: true})
	if err != nil {
		return nil, err
	}
	o.Return = c.log.now()
	for it.Next() {
		o.Entries = append(o.Entries, mld.Entry{Key: bytes.Clone(it.Key()), Value: bytes.Clone(it.Value())})
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	c.log.add(o)
	return o.Entries, nil
}

// ScanSnapshot takes a snapshot and reads the entries of a range from it.
func (c *Client) ScanSnapshot(ctx context.Context, r mld.Range) ([]mld.Entry, error) {
	o := Op{Client: c.id, Call: c.log.now(), Kind: Scan, Range: r.Clone()}
	snap, err := c.store.NewSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	o.Return = c.log.now()
	o.Entries, err = mld.Collect(ctx, snap, &mld.IterOptions{Range: r})
	if err != nil {
		return nil, err
	}
	c.log.add(o)
	return o.Entries, nil
}

// Put sets the value of a key.
func (c *Client) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	return c.write([]mld.Op{{Kind: mld.OpPut, Key: key, Value: value}}, func() error {
		return c.store.Put(ctx, key, value, o)
	})
}

// Delete removes a key.
func (c *Client) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	return c.write([]mld.Op{{Kind: mld.OpDelete, Key: key}}, func() error {
		return c.store.Delete(ctx, key, o)
	})
}

// Apply does the operations of a batch, which must be puts and deletes.
func (c *Client) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	return c.write(b.Ops(), func() error { return c.store.Apply(ctx, b, o) })
}

// Clear removes the entries of a range.
func (c *Client) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	op := Op{Client: c.id, Call: c.log.now(), Kind: Clear, Range: r.Clone()}
	c.log.Journal.write(&op)
	err := c.store.Clear(ctx, r, o)
	op.Outcome = mld.OutcomeOf(err)
	c.log.add(op)
	return err
}

func (c *Client) write(changes []mld.Op, do func() error) error {
	o := Op{Client: c.id, Call: c.log.now(), Kind: Write}
	for _, ch := range changes {
		o.Changes = append(o.Changes, mld.Op{Kind: ch.Kind, Key: bytes.Clone(ch.Key), Value: bytes.Clone(ch.Value)})
	}
	c.log.Journal.write(&o)
	err := do()
	o.Outcome = mld.OutcomeOf(err)
	c.log.add(o)
	return err
}

func clone(list [][]byte) [][]byte {
	c := make([][]byte, len(list))
	for i, b := range list {
		c[i] = bytes.Clone(b)
	}
	return c
}
