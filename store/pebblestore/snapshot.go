package pebblestore

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/multileveldown/mld"
)

var (
	_ mld.PinnedGetter = (*snapshot)(nil)
	_ mld.EachGetter   = (*snapshot)(nil)
)

// snapshot is a snapshot of Pebble's.
type snapshot struct {
	s *Store

	// mu keeps Close from the snapshot while it is read.
	mu sync.RWMutex
	p  *pebble.Snapshot // nil once it is closed
}

// begin starts a call, and returns why it must do nothing. Unless it does, end
// must be called.
func (snap *snapshot) begin(ctx context.Context, op string) error {
	if err := snap.s.begin(ctx, op); err != nil {
		return err
	}
	snap.mu.RLock()
	if snap.p == nil {
		snap.end()
		return snap.s.closedError(op, "snapshot")
	}
	return nil
}

func (snap *snapshot) end() {
	snap.mu.RUnlock()
	snap.s.end()
}

func (snap *snapshot) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := snap.begin(ctx, "get"); err != nil {
		return nil, err
	}
	defer snap.end()
	return snap.s.get(snap.p, key)
}

func (snap *snapshot) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	if err := snap.begin(ctx, "get"); err != nil {
		return nil, nil, err
	}
	defer snap.end()
	return snap.s.getPinned(snap.p, key)
}

func (snap *snapshot) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := snap.GetEach(ctx, keys, func(i int, value []byte) error {
		values[i] = clone(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// GetEach begins anew for each key, so that f may use the store.
func (snap *snapshot) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	for i, key := range keys {
		value, closer, err := snap.GetPinned(ctx, key)
		switch {
		case err == nil:
			if value == nil {
				value = []byte{}
			}
			err = f(i, value)
			err = first(err, closer.Close())
		case errors.Is(err, mld.ErrNotFound):
			err = f(i, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (snap *snapshot) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := snap.begin(ctx, "iterate"); err != nil {
		return nil, err
	}
	defer snap.end()
	return snap.s.newIterator(ctx, snap.p, o)
}

func (snap *snapshot) Close() error {
	snap.mu.Lock()
	defer snap.mu.Unlock()
	if snap.p == nil {
		return nil
	}
	err := snap.s.wrap("snapshot", nil, snap.p.Close())
	snap.p = nil
	return first(err, snap.s.release(snap))
}

// storeClosed implements holder. Nothing was lent that the snapshot must keep.
func (snap *snapshot) storeClosed() { _ = snap.Close() }
