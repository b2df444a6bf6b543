// Package pebblestore keeps an ordered key-value store on disk with Pebble, the
// storage engine of CockroachDB: writes are cheap at any size, reads come from a
// block cache, and writers that ask for durability at the same time share an
// fsync.
//
// # Keys
//
// Keys are stored as they are, except those that consist of zero bytes alone, the
// empty key among them, which Pebble cannot keep: they are stored with one zero
// more. That matters to a program only if it opens the directory with Pebble
// itself.
//
// # Closing
//
// Close waits for the calls that are under way. Iterators, snapshots and pinned
// values that are still open then fail with [mld.ErrClosed], but memory that was
// lent stays valid as promised: the files and the lock of the directory are let
// go of only when the last iterator that stands on an entry moves on or is
// closed, and the last pinned value is given back. A program that closes those
// first has an unlocked directory when Close returns.
//
// # Failure
//
// Pebble cannot go on when it fails to write its log or its manifest. Its own
// answer is to end the process; a Store stays instead, and every call from then
// on returns that failure, an error that is [mld.ErrIO]. Writes that were under
// way may or may not be found when the directory is opened again.
//
// When it fails to write a table, as on a full disk, Pebble tries again until it
// can. Writes wait meanwhile, once the memtables are full, whatever their contexts
// say. Options.Logger is told.
package pebblestore

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/multileveldown/mld"
)

var (
	_ mld.Store          = (*Store)(nil)
	_ mld.PinnedGetter   = (*Store)(nil)
	_ mld.EachGetter     = (*Store)(nil)
	_ mld.TogetherGetter = (*Store)(nil)
	_ mld.DeferredWriter = (*Store)(nil)
	_ mld.Statser        = (*Store)(nil)
)

// Store is a Pebble database. All its methods may be called together.
type Store struct {
	dir        string
	db         *pebble.DB
	durability mld.Durability
	readOnly   bool
	failure    *failure
	syncs      *syncs

	// calls is held for reading by every call and for writing by Close, which
	// so waits for them. It comes before every other lock.
	calls  sync.RWMutex
	closed atomic.Bool // written under calls

	// writes is held for reading by writes, and for writing by those that must
	// look at the keys before they can say what to remove.
	writes sync.RWMutex

	// tombstones is how many were written since they last made a memtable be
	// flushed.
	tombstones atomic.Int64

	// refs counts what needs the database: the open store, each iterator and
	// snapshot of Pebble's, each pinned value. Whoever takes the last one away
	// closes the database.
	refs atomic.Int64

	open struct {
		sync.Mutex // comes after every other lock
		holders    map[holder]struct{}
	}
}

// A holder is an iterator or a snapshot that is open.
type holder interface {
	// storeClosed lets go of the database if that is possible now.
	storeClosed()
}

// Close waits for the calls under way and closes the database; see the package
// documentation for what happens to iterators, snapshots and pinned values that
// are still open.
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.closed.Swap(true) {
		return nil
	}
	s.open.Lock()
	holders := make([]holder, 0, len(s.open.holders))
	for h := range s.open.holders {
		holders = append(holders, h)
	}
	s.open.Unlock()
	for _, h := range holders {
		h.storeClosed()
	}
	return s.unref()
}

// hold registers a new holder.
func (s *Store) hold(h holder) {
	s.refs.Add(1)
	s.open.Lock()
	s.open.holders[h] = struct{}{}
	s.open.Unlock()
}

// release is called once by each holder when it has let go of the database. Its
// error is that of closing the database, if that had waited for this holder.
func (s *Store) release(h holder) error {
	s.open.Lock()
	delete(s.open.holders, h)
	s.open.Unlock()
	return s.unref()
}

func (s *Store) unref() error {
	if s.refs.Add(-1) > 0 {
		return nil
	}
	return s.wrap("close", nil, s.db.Close())
}

// begin starts a call, and returns why it must do nothing. Unless it does, end
// must be called.
func (s *Store) begin(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.calls.RLock()
	err := s.usable(op)
	if err != nil {
		s.calls.RUnlock()
	}
	return err
}

func (s *Store) end() { s.calls.RUnlock() }

// usable returns why the store can do nothing any more.
func (s *Store) usable(op string) error {
	if s.closed.Load() {
		return s.closedError(op, "store")
	}
	return s.failure.error(op, s.dir)
}

func (s *Store) closedError(op, what string) error {
	return &mld.Error{Code: mld.CodeClosed, Op: op, Where: s.dir, Msg: "the " + what + " was closed before"}
}

// Get returns a copy of the value of key, or [mld.ErrNotFound].
func (s *Store) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := s.begin(ctx, "get"); err != nil {
		return nil, err
	}
	defer s.end()
	return s.get(s.db, key)
}

// GetPinned returns the value of key, or [mld.ErrNotFound], where Pebble has it:
// in its cache or its memtable. The value must not be changed and is valid until
// the closer is closed, which must happen once and soon: it keeps the memory, and
// the files that hold it, from being let go of.
func (s *Store) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	if err := s.begin(ctx, "get"); err != nil {
		return nil, nil, err
	}
	defer s.end()
	return s.getPinned(s.db, key)
}

// GetMany implements [mld.Reader].
func (s *Store) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := s.GetEach(ctx, keys, func(i int, value []byte) error {
		values[i] = clone(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// GetEach implements [mld.EachGetter]. The values are lent from where Pebble has
// them. f must not close the store.
func (s *Store) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	snap, err := s.newSnapshot(ctx)
	if err != nil {
		return err
	}
	err = snap.GetEach(ctx, keys, f)
	return first(err, snap.Close())
}

// NewIterator implements [mld.Reader]. The iterator must be closed: it keeps
// memory, and the files that it reads, from being let go of.
func (s *Store) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := s.begin(ctx, "iterate"); err != nil {
		return nil, err
	}
	defer s.end()
	return s.newIterator(ctx, s.db, o)
}

// NewSnapshot implements [mld.Store]. The snapshot must be closed: it keeps what
// was overwritten and deleted since from being removed.
func (s *Store) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	snap, err := s.newSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	return snap, nil
}

func (s *Store) newSnapshot(ctx context.Context) (*snapshot, error) {
	if err := s.begin(ctx, "snapshot"); err != nil {
		return nil, err
	}
	defer s.end()
	snap := &snapshot{s: s, p: s.db.NewSnapshot()}
	s.hold(snap)
	return snap, nil
}

// get returns a copy of a value.
func (s *Store) get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(stored(key))
	if err != nil {
		return nil, s.wrap("get", key, err)
	}
	copied := append(make([]byte, 0, len(value)), value...)
	return copied, s.wrap("get", key, closer.Close())
}

// getPinned returns a value in Pebble's memory.
func (s *Store) getPinned(r pebble.Reader, key []byte) ([]byte, io.Closer, error) {
	value, closer, err := r.Get(stored(key))
	if err != nil {
		return nil, nil, s.wrap("get", key, err)
	}
	s.refs.Add(1)
	p := pins.Get().(*pin)
	p.s, p.closer = s, closer
	return value, p, nil
}

// pin keeps a value, and the database, until it is closed.
type pin struct {
	s      *Store
	closer io.Closer
}

var pins = sync.Pool{New: func() any { return new(pin) }}

func (p *pin) Close() error {
	s, closer := p.s, p.closer
	*p = pin{}
	pins.Put(p)
	err := s.wrap("get", nil, closer.Close())
	return first(err, s.unref())
}

// clone returns a copy, nil for nil.
func clone(p []byte) []byte {
	if p == nil {
		return nil
	}
	return append(make([]byte, 0, len(p)), p...)
}
