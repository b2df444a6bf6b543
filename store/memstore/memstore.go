// Package memstore keeps an ordered key-value store in memory. It is the engine
// of tests, examples and caches: nothing is written to disk, and whatever
// durability a write asks for, it is gone when the process ends.
//
// A snapshot or an iterator costs the same however much the store holds, and
// holds up nobody: the tree below is copied on write, a path at a time, and only
// after somebody has taken a view of it.
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/multileveldown/mld"
)

var (
	_ mld.Store        = (*Store)(nil)
	_ mld.PinnedGetter = (*Store)(nil)
	_ mld.EachGetter   = (*Store)(nil)
	_ mld.Statser      = (*Store)(nil)
)

// tree holds entries whose slices are never changed once they are in it, so that
// trees can share them and readers can be lent them. A tree that nobody writes to
// can be read by many at a time.
type tree = btree.BTreeG[mld.Entry]

func newTree() *tree {
	less := func(a, b mld.Entry) bool { return bytes.Compare(a.Key, b.Key) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// Store is a store in memory. All its methods may be called together. It copies
// what it is given.
type Store struct {
	closed atomic.Bool

	// mu guards what follows. Nothing that waits is done under it.
	mu   sync.RWMutex
	tree *tree
	size int64 // bytes in keys and values

	// view is a copy of tree that nobody writes to, nil since the last write.
	// The readers that come between two writes share it.
	view *tree
}

// New returns an empty store.
func New() *Store {
	return &Store{tree: newTree()}
}

// Close lets go of the data. Snapshots and iterators that are open fail from then
// on. It always returns nil.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tree, s.view, s.size = newTree(), nil, 0
	return nil
}

// ready returns why a call must do nothing: its context has ended, or the store
// is closed.
func (s *Store) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return closedError(op, "store")
	}
	return nil
}

func closedError(op, what string) error {
	return &mld.Error{Code: mld.CodeClosed, Op: op, Msg: "the " + what + " was closed before"}
}

// Get returns a copy of the value of key, or [mld.ErrNotFound].
func (s *Store) Get(ctx context.Context, key []byte) ([]byte, error) {
	value, _, err := s.GetPinned(ctx, key)
	if err != nil {
		return nil, err
	}
	return clone(value), nil
}

// GetPinned returns the value of key, or [mld.ErrNotFound]. The value must not be
// changed; it stays valid for good, and the closer is nil.
func (s *Store) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx, "get"); err != nil { // here, for Close empties the store
		return nil, nil, err
	}
	return lookup(s.tree, key)
}

// GetMany implements [mld.Reader].
func (s *Store) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx, "get many"); err != nil { // here, for Close empties the store
		return nil, err
	}
	return lookupMany(s.tree, keys), nil
}

// GetEach implements [mld.EachGetter]. The values stay valid for good.
func (s *Store) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	if err := s.ready(ctx, "get many"); err != nil {
		return err
	}
	return lookupEach(s.currentView(), keys, f)
}

// NewIterator implements [mld.Reader].
func (s *Store) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := s.ready(ctx, "iterate"); err != nil {
		return nil, err
	}
	return newIterator(ctx, s.currentView(), &s.closed, o)
}

// NewSnapshot implements [mld.Store].
func (s *Store) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	if err := s.ready(ctx, "snapshot"); err != nil {
		return nil, err
	}
	return &snapshot{store: s, tree: s.currentView()}, nil
}

// currentView returns a tree that holds the present state for good.
func (s *Store) currentView() *tree {
	s.mu.RLock()
	view := s.view
	s.mu.RUnlock()
	if view != nil {
		return view
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil {
		s.view = s.tree.Copy()
	}
	return s.view
}

// Put implements [mld.Writer]. It copies both slices.
func (s *Store) Put(ctx context.Context, key, value []byte, _ *mld.WriteOptions) error {
	if err := s.ready(ctx, "put"); err != nil {
		return err
	}
	e := mld.Entry{Key: clone(key), Value: clone(value)}
	return s.write("put", func() { s.set(e) })
}

// Delete implements [mld.Writer].
func (s *Store) Delete(ctx context.Context, key []byte, _ *mld.WriteOptions) error {
	if err := s.ready(ctx, "delete"); err != nil {
		return err
	}
	return s.write("delete", func() { s.remove(key) })
}

// Apply implements [mld.Writer]. It copies the keys and values.
func (s *Store) Apply(ctx context.Context, b *mld.Batch, _ *mld.WriteOptions) error {
	if err := s.ready(ctx, "batch"); err != nil {
		return err
	}
	ops := b.Ops()
	entries := make([]mld.Entry, len(ops))
	for i, op := range ops {
		switch op.Kind {
		case mld.OpPut:
			entries[i] = mld.Entry{Key: clone(op.Key), Value: clone(op.Value)}
		case mld.OpDelete:
			entries[i].Key = op.Key
		case mld.OpDeleteRange:
		default:
			return &mld.Error{Code: mld.CodeInvalidArgument, Op: "batch", Key: clone(op.Key), Msg: fmt.Sprintf("operation %d is of unknown kind %d", i, op.Kind)}
		}
	}
	return s.write("batch", func() {
		for i, e := range entries {
			switch ops[i].Kind {
			case mld.OpPut:
				s.set(e)
			case mld.OpDelete:
				s.remove(e.Key)
			case mld.OpDeleteRange:
				s.clear(mld.Range{GTE: ops[i].Key, LT: ops[i].Value})
			}
		}
	})
}

// Clear implements [mld.Writer]. Others wait while it runs; the time it takes
// grows with the number of entries that it removes, except that removing
// everything takes no time.
func (s *Store) Clear(ctx context.Context, r mld.Range, _ *mld.WriteOptions) error {
	if err := s.ready(ctx, "clear"); err != nil {
		return err
	}
	return s.write("clear", func() { s.clear(r) })
}

// write runs change, which may use set, remove and clear, as one change of the state.
func (s *Store) write(op string, change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() { // it may have been closed since the call came
		return closedError(op, "store")
	}
	s.view = nil
	change()
	return nil
}

// set puts an entry whose slices are the store's own from now on.
func (s *Store) set(e mld.Entry) {
	old, replaced := s.tree.Set(e)
	s.size += int64(len(e.Key) + len(e.Value))
	if replaced {
		s.size -= int64(len(old.Key) + len(old.Value))
	}
}

func (s *Store) remove(key []byte) {
	if old, ok := s.tree.Delete(mld.Entry{Key: key}); ok {
		s.size -= int64(len(old.Key) + len(old.Value))
	}
}

func (s *Store) clear(r mld.Range) {
	if len(r.GTE) == 0 && r.GT == nil && r.LT == nil && r.LTE == nil && (r.Limit <= 0 || r.Limit >= s.tree.Len()) {
		s.tree, s.size = newTree(), 0
		return
	}
	var keys [][]byte
	c := newCursor(s.tree, r)
	for c.next() {
		keys = append(keys, c.entry().Key)
	}
	for _, key := range keys {
		s.remove(key)
	}
}

// Stats implements [mld.Statser]. MemoryBytes counts the keys and values of the
// present state: not the tree's own memory, nor what only snapshots still hold.
func (s *Store) Stats(ctx context.Context) (mld.Stats, error) {
	if err := s.ready(ctx, "stats"); err != nil {
		return mld.Stats{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return mld.Stats{
		Engine:      "memory",
		MemoryBytes: s.size,
		Metrics:     map[string]float64{"entries": float64(s.tree.Len())},
	}, nil
}

func lookup(t *tree, key []byte) ([]byte, io.Closer, error) {
	e, ok := t.Get(mld.Entry{Key: key})
	if !ok {
		return nil, nil, &mld.Error{Code: mld.CodeNotFound, Op: "get", Key: clone(key)}
	}
	return e.Value, nil, nil
}

func lookupEach(t *tree, keys [][]byte, f func(i int, value []byte) error) error {
	for i, key := range keys {
		e, _ := t.Get(mld.Entry{Key: key})
		if err := f(i, e.Value); err != nil {
			return err
		}
	}
	return nil
}

func lookupMany(t *tree, keys [][]byte) [][]byte {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		if e, ok := t.Get(mld.Entry{Key: key}); ok {
			values[i] = clone(e.Value)
		}
	}
	return values
}

// clone returns a copy that is not nil, for an empty value is one.
func clone(p []byte) []byte {
	return append(make([]byte, 0, len(p)), p...)
}
