package leveldbstore

import (
	"context"
	"errors"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/multileveldown/mld"
)

var (
	_ mld.Snapshot   = (*snapshot)(nil)
	_ mld.EachGetter = (*snapshot)(nil)
)

// snapshot is a state of the store. Goleveldb's own lock lets its methods be
// called together with Close.
type snapshot struct {
	s    *Store
	snap *leveldb.Snapshot
}

func (n *snapshot) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := n.s.beginRead(ctx, "get"); err != nil {
		return nil, err
	}
	defer n.s.reads.RUnlock()
	value, err := n.snap.Get(key, nil)
	if err != nil {
		return nil, n.s.fail("get", key, err)
	}
	return value, nil
}

func (n *snapshot) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := n.GetEach(ctx, keys, func(i int, value []byte) error {
		values[i] = value
		return nil
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

func (n *snapshot) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	for i, key := range keys {
		value, err := n.Get(ctx, key)
		switch {
		case err == nil && value == nil:
			value = []byte{}
		case err != nil && !errors.Is(err, mld.ErrNotFound):
			return err
		}
		if err := f(i, value); err != nil {
			return err
		}
	}
	return nil
}

func (n *snapshot) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := n.s.beginRead(ctx, "iterate"); err != nil {
		return nil, err
	}
	defer n.s.reads.RUnlock()
	return n.s.newIterator(ctx, n.snap, o)
}

func (n *snapshot) Close() error {
	n.snap.Release()
	return nil
}
