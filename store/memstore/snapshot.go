package memstore

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/multileveldown/mld"
)

var (
	_ mld.PinnedGetter = (*snapshot)(nil)
	_ mld.EachGetter   = (*snapshot)(nil)
)

// snapshot is a tree that nobody writes to.
type snapshot struct {
	store  *Store
	tree   *tree
	closed atomic.Bool
}

func (s *snapshot) ready(ctx context.Context, op string) error {
	if err := s.store.ready(ctx, op); err != nil {
		return err
	}
	if s.closed.Load() {
		return closedError(op, "snapshot")
	}
	return nil
}

func (s *snapshot) Get(ctx context.Context, key []byte) ([]byte, error) {
	value, _, err := s.GetPinned(ctx, key)
	if err != nil {
		return nil, err
	}
	return clone(value), nil
}

func (s *snapshot) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	if err := s.ready(ctx, "get"); err != nil {
		return nil, nil, err
	}
	return lookup(s.tree, key)
}

func (s *snapshot) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := s.ready(ctx, "get many"); err != nil {
		return nil, err
	}
	return lookupMany(s.tree, keys), nil
}

func (s *snapshot) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	if err := s.ready(ctx, "get many"); err != nil {
		return err
	}
	return lookupEach(s.tree, keys, f)
}

func (s *snapshot) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := s.ready(ctx, "iterate"); err != nil {
		return nil, err
	}
	return newIterator(ctx, s.tree, &s.store.closed, o)
}

// Close always returns nil.
func (s *snapshot) Close() error {
	s.closed.Store(true)
	return nil
}
