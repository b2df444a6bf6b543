package leveldbstore

import (
	"context"
	"io"
	"sync"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/multileveldown/mld"
)

// Store is an open LevelDB directory. Its methods may be called together.
//
// Writes that come together are written to the journal, and synced, together.
// An error that is [mld.ErrIO] from a write may mean that the engine takes no
// more writes until the store is opened again; reads go on.
type Store struct {
	dir   string
	o     Options
	lock  *Lock
	files storage.Storage
	db    *leveldb.DB

	// An operation holds one of these two shared, reads the first and writes
	// the second. Clear holds writes alone. Close takes writes, then reads:
	// goleveldb must not be closed while it is at work.
	reads, writes sync.RWMutex
	closed        bool  // written under both locks
	broken        error // why there can be no more writes; protected by writes

	mu        sync.Mutex // protects iterators
	iterators map[*iterator]struct{}
}

var (
	_ mld.Store      = (*Store)(nil)
	_ mld.EachGetter = (*Store)(nil)
	_ mld.Statser    = (*Store)(nil)
)

// beginRead returns with s.reads held shared, unless it returns an error.
func (s *Store) beginRead(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.reads.RLock()
	if s.closed {
		s.reads.RUnlock()
		return s.errClosed(op)
	}
	return nil
}

// beginWrite returns with s.writes held shared, unless it returns an error.
func (s *Store) beginWrite(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.writes.RLock()
	if err := s.writableLocked(op); err != nil {
		s.writes.RUnlock()
		return err
	}
	return nil
}

func (s *Store) writableLocked(op string) error {
	switch {
	case s.closed:
		return s.errClosed(op)
	case s.o.ReadOnly:
		return &mld.Error{Code: mld.CodeReadOnly, Op: op, Where: s.dir}
	case s.broken != nil:
		return &mld.Error{Code: mld.CodeIO, Op: op, Where: s.dir, Msg: "no more writes after a failure, restart the process", Err: s.broken}
	}
	return nil
}

func (s *Store) errClosed(op string) error {
	return &mld.Error{Code: mld.CodeClosed, Op: op, Where: s.dir}
}

// Get implements [mld.Reader].
func (s *Store) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := s.beginRead(ctx, "get"); err != nil {
		return nil, err
	}
	defer s.reads.RUnlock()
	value, err := s.db.Get(key, nil)
	if err != nil {
		return nil, s.fail("get", key, err)
	}
	return value, nil
}

// GetMany implements [mld.Reader].
func (s *Store) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	snap, err := s.newSnapshot(ctx, "get")
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	return snap.GetMany(ctx, keys)
}

// GetEach implements [mld.EachGetter]. The callback may use the store.
func (s *Store) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	snap, err := s.newSnapshot(ctx, "get")
	if err != nil {
		return err
	}
	defer snap.Close()
	return snap.GetEach(ctx, keys, f)
}

// NewIterator implements [mld.Reader].
func (s *Store) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := s.beginRead(ctx, "iterate"); err != nil {
		return nil, err
	}
	defer s.reads.RUnlock()
	return s.newIterator(ctx, s.db, o)
}

// Put implements [mld.Writer].
func (s *Store) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if err := s.beginWrite(ctx, "put"); err != nil {
		return err
	}
	defer s.writes.RUnlock()
	return s.fail("put", key, s.db.Put(key, value, s.writeOptions(o)))
}

// Delete implements [mld.Writer].
func (s *Store) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	if err := s.beginWrite(ctx, "delete"); err != nil {
		return err
	}
	defer s.writes.RUnlock()
	return s.fail("delete", key, s.db.Delete(key, s.writeOptions(o)))
}

var (
	syncWrite   = &opt.WriteOptions{Sync: true}
	noSyncWrite = &opt.WriteOptions{}
)

func (s *Store) writeOptions(o *mld.WriteOptions) *opt.WriteOptions {
	if o.Durable(s.o.Durability) == mld.DurabilityNoSync {
		return noSyncWrite
	}
	return syncWrite
}

// NewSnapshot implements [mld.Store].
func (s *Store) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	snap, err := s.newSnapshot(ctx, "snapshot")
	if err != nil {
		return nil, err
	}
	return snap, nil
}

func (s *Store) newSnapshot(ctx context.Context, op string) (*snapshot, error) {
	if err := s.beginRead(ctx, op); err != nil {
		return nil, err
	}
	defer s.reads.RUnlock()
	snap, err := s.db.GetSnapshot()
	if err != nil {
		return nil, s.fail(op, nil, err)
	}
	return &snapshot{s, snap}, nil
}

// Close implements [mld.Store]. It waits for the calls that are under way.
func (s *Store) Close() error {
	s.writes.Lock()
	defer s.writes.Unlock()
	s.reads.Lock()
	defer s.reads.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.releaseIterators()
	if s.broken != nil {
		// Goleveldb would wait for ever, or delete tables that the manifest may
		// have. Its files are the process's until that ends, so the lock is.
		return &mld.Error{Code: mld.CodeIO, Op: "close", Where: s.dir, Msg: "the directory stays locked until the process ends", Err: s.broken}
	}
	err := s.db.Close()
	for _, c := range []io.Closer{s.files, s.lock} {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	return s.fail("close", nil, err)
}
