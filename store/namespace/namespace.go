// Package namespace shows the part of a store whose keys begin with a prefix as a
// store of its own, in which the keys are without it. Nothing outside that part
// can be read, counted or changed through it.
//
// [Sublevel] and [Subleveldown] make the prefixes that Node programs use, so that
// both see the same data:
//
//	prefix, err := namespace.Sublevel("app", "users")
//	users := namespace.New(db, prefix)
//
// A batch over several namespaces of one store is one over that store, with the
// keys that [Store.Key] returns.
package namespace

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/multileveldown/mld"
)

var (
	_ mld.Store        = (*Store)(nil)
	_ mld.PinnedGetter = (*Store)(nil)
	_ mld.EachGetter   = (*Store)(nil)
	_ mld.Statser      = (*Store)(nil)
)

// Store is the part of another store below a prefix. All its methods may be called
// together. It can do what the other store can: snapshots, pinned values and
// durability are that store's.
type Store struct {
	reader
	s      mld.Store
	prefix []byte
	end    []byte // the least key behind all that have the prefix; nil is none
	closed atomic.Bool
}

// New returns the part of s below prefix, which it copies. An empty prefix means
// all of s. Namespaces can be nested.
func New(s mld.Store, prefix []byte) *Store {
	ns := &Store{s: s, prefix: bytes.Clone(prefix), end: prefixEnd(prefix)}
	ns.reader = reader{ns, s}
	return ns
}

// prefixEnd returns the least key that is greater than all that begin with prefix,
// nil if there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// Prefix returns a copy of the prefix.
func (ns *Store) Prefix() []byte { return bytes.Clone(ns.prefix) }

// Key returns what key is in the store below: a new slice, with the prefix.
func (ns *Store) Key(key []byte) []byte {
	return ns.appendKey(make([]byte, 0, len(ns.prefix)+len(key)), key)
}

func (ns *Store) appendKey(dst, key []byte) []byte {
	return append(append(dst, ns.prefix...), key...)
}

// Close ends the use of the namespace: its methods, and the iterators and
// snapshots made from it, return [mld.ErrClosed] from then on. These must still be
// closed. The store below stays open, for others may use it. Close always returns
// nil.
func (ns *Store) Close() error {
	ns.closed.Store(true)
	return nil
}

// ready returns why a call must do nothing: its context has ended, or the
// namespace is closed.
func (ns *Store) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ns.closed.Load() {
		return closedError(op, "namespace")
	}
	return nil
}

func closedError(op, what string) error {
	return &mld.Error{Code: mld.CodeClosed, Op: op, Msg: "the " + what + " was closed before"}
}

// wrap takes the prefix off the key that an error of the store below names.
func (ns *Store) wrap(err error) error {
	if e, ok := err.(*mld.Error); ok && e.Key != nil && bytes.HasPrefix(e.Key, ns.prefix) {
		own := *e
		own.Key = e.Key[len(ns.prefix):]
		return &own
	}
	return err
}

// keyBuffers holds the memory of keys that a call lends to the store below.
var keyBuffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKeyBuffer is how large a buffer may be to be kept.
const maxKeyBuffer = 4 << 10

// withKey calls f with the key in the store below, which is valid until f returns.
func (ns *Store) withKey(key []byte, f func(key []byte) error) error {
	buf := keyBuffers.Get().(*[]byte)
	*buf = ns.appendKey((*buf)[:0], key)
	err := f(*buf)
	if cap(*buf) <= maxKeyBuffer {
		keyBuffers.Put(buf)
	}
	return ns.wrap(err)
}

// Put implements [mld.Writer].
func (ns *Store) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if err := ns.ready(ctx, "put"); err != nil {
		return err
	}
	return ns.withKey(key, func(key []byte) error { return ns.s.Put(ctx, key, value, o) })
}

// Delete implements [mld.Writer].
func (ns *Store) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	if err := ns.ready(ctx, "delete"); err != nil {
		return err
	}
	return ns.withKey(key, func(key []byte) error { return ns.s.Delete(ctx, key, o) })
}

// Apply implements [mld.Writer].
func (ns *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	if err := ns.ready(ctx, "batch"); err != nil {
		return err
	}
	var below mld.Batch
	below.Append(ns.below(b.Ops())...)
	return ns.wrap(ns.s.Apply(ctx, &below, o))
}

// below returns what operations are in the store below.
func (ns *Store) below(own []mld.Op) []mld.Op {
	keyBytes := len(own) * len(ns.prefix)
	for _, op := range own {
		keyBytes += len(op.Key)
		if op.Kind == mld.OpDeleteRange && op.Value != nil {
			keyBytes += len(ns.prefix) + len(op.Value)
		}
	}
	arena := make([]byte, 0, keyBytes)
	keyBelow := func(key []byte) []byte {
		n := len(arena)
		arena = ns.appendKey(arena, key)
		return arena[n:len(arena):len(arena)]
	}
	ops := make([]mld.Op, len(own))
	for i, op := range own {
		ops[i] = mld.Op{Kind: op.Kind, Key: keyBelow(op.Key), Value: op.Value}
		if op.Kind == mld.OpDeleteRange {
			if op.Value == nil {
				ops[i].Value = ns.end
			} else {
				ops[i].Value = keyBelow(op.Value)
			}
		}
	}
	return ops
}

// Clear implements [mld.Writer]. It removes nothing outside the namespace.
func (ns *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	if err := ns.ready(ctx, "clear"); err != nil {
		return err
	}
	return ns.s.Clear(ctx, ns.rangeBelow(&r), o)
}

// rangeBelow returns what a range is in the store below.
func (ns *Store) rangeBelow(r *mld.Range) mld.Range {
	below := mld.Range{Limit: r.Limit, Reverse: r.Reverse}
	bound := func(key []byte) []byte {
		if key == nil {
			return nil
		}
		return ns.Key(key)
	}
	below.GT, below.GTE, below.LT, below.LTE = bound(r.GT), bound(r.GTE), bound(r.LT), bound(r.LTE)
	if below.GT == nil && below.GTE == nil && len(ns.prefix) > 0 {
		below.GTE = ns.prefix
	}
	if below.LT == nil && below.LTE == nil {
		below.LT = ns.end
	}
	return below
}

// NewSnapshot implements [mld.Store].
func (ns *Store) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	if err := ns.ready(ctx, "snapshot"); err != nil {
		return nil, err
	}
	snap, err := ns.s.NewSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{reader{ns, snap}, snap}, nil
}

// Stats implements [mld.Statser]. Of the store below they have the name of the
// engine alone: its other figures are of all keys, those outside the namespace
// included. With an empty prefix they are those of the store below; where that one
// tells none, the error is [mld.ErrUnsupported].
func (ns *Store) Stats(ctx context.Context) (mld.Stats, error) {
	if err := ns.ready(ctx, "stats"); err != nil {
		return mld.Stats{}, err
	}
	if st, ok := ns.s.(mld.Statser); ok {
		stats, err := st.Stats(ctx)
		if len(ns.prefix) > 0 {
			stats = mld.Stats{Engine: stats.Engine}
		}
		return stats, err
	}
	return mld.Stats{}, &mld.Error{Code: mld.CodeUnsupported, Op: "stats", Msg: "the store below the namespace tells none"}
}

// reader reads the namespace in a store or in a snapshot of it.
type reader struct {
	ns *Store
	r  mld.Reader
}

// Get implements [mld.Reader].
func (r reader) Get(ctx context.Context, key []byte) (value []byte, err error) {
	if err := r.ns.ready(ctx, "get"); err != nil {
		return nil, err
	}
	err = r.ns.withKey(key, func(key []byte) (err error) {
		value, err = r.r.Get(ctx, key)
		return err
	})
	return value, err
}

// GetPinned implements [mld.PinnedGetter]. The value is lent by the store below if
// it can, and else a copy.
func (r reader) GetPinned(ctx context.Context, key []byte) (value []byte, c io.Closer, err error) {
	if err := r.ns.ready(ctx, "get"); err != nil {
		return nil, nil, err
	}
	err = r.ns.withKey(key, func(key []byte) (err error) {
		value, c, err = mld.GetPinned(ctx, r.r, key)
		return err
	})
	return value, c, err
}

// GetMany implements [mld.Reader].
func (r reader) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := r.ns.ready(ctx, "get many"); err != nil {
		return nil, err
	}
	values, err := r.r.GetMany(ctx, r.keysBelow(keys))
	return values, r.ns.wrap(err)
}

// GetEach implements [mld.EachGetter].
func (r reader) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	if err := r.ns.ready(ctx, "get many"); err != nil {
		return err
	}
	return r.ns.wrap(mld.GetEach(ctx, r.r, r.keysBelow(keys), f))
}

func (r reader) keysBelow(keys [][]byte) [][]byte {
	below := make([][]byte, len(keys))
	for i, key := range keys {
		below[i] = r.ns.Key(key)
	}
	return below
}

// NewIterator implements [mld.Reader].
func (r reader) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := r.ns.ready(ctx, "iterate"); err != nil {
		return nil, err
	}
	var below mld.IterOptions
	if o != nil {
		below = *o
	}
	below.Range = r.ns.rangeBelow(&below.Range)
	it, err := r.r.NewIterator(ctx, &below)
	if err != nil {
		return nil, err
	}
	return &iterator{ns: r.ns, it: it}, nil
}

// snapshot is the namespace in a snapshot of the store below.
type snapshot struct {
	reader
	snap mld.Snapshot
}

var (
	_ mld.PinnedGetter = (*snapshot)(nil)
	_ mld.EachGetter   = (*snapshot)(nil)
)

func (s *snapshot) Close() error { return s.snap.Close() }

var _ mld.Walker = (*iterator)(nil)

// iterator takes the prefix off the keys of an iterator over the store below.
type iterator struct {
	ns     *Store
	it     mld.Iterator
	target []byte // memory for seeks
	err    error
}

func (it *iterator) Next() bool {
	if it.err == nil && it.ns.closed.Load() {
		it.err = closedError("iterate", "namespace")
	}
	return it.err == nil && it.it.Next()
}

func (it *iterator) Seek(target []byte) {
	it.target = it.ns.appendKey(it.target[:0], target)
	it.it.Seek(it.target)
}

// Key returns the key without the prefix, nil where there is none.
func (it *iterator) Key() []byte {
	if key := it.it.Key(); key != nil {
		return key[len(it.ns.prefix):]
	}
	return nil
}

func (it *iterator) Value() []byte { return it.it.Value() }

// Walk implements [mld.Walker].
func (it *iterator) Walk(f func(key, value []byte) bool) bool {
	if it.err == nil && it.ns.closed.Load() {
		it.err = closedError("iterate", "namespace")
	}
	return it.err == nil && mld.Walk(it.it, func(key, value []byte) bool {
		if key != nil {
			key = key[len(it.ns.prefix):]
		}
		return f(key, value)
	})
}

func (it *iterator) Err() error {
	if it.err != nil {
		return it.err
	}
	return it.ns.wrap(it.it.Err())
}

func (it *iterator) Close() error {
	err := it.it.Close()
	if it.err != nil {
		return it.err
	}
	return it.ns.wrap(err)
}
