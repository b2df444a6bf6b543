package leveldbstore

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/multileveldown/mld"
)

// Apply implements [mld.Writer]. A batch that removes a range is written as what
// Clear writes: LevelDB has no such operation, so the keys are read, other writes
// wait for it, and the context can end it while it reads.
func (s *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	if slices.ContainsFunc(b.Ops(), isRange) {
		return s.applyRanges(ctx, b, o)
	}
	if err := s.beginWrite(ctx, "batch"); err != nil {
		return err
	}
	defer s.writes.RUnlock()
	batch := takeBatch(b.Size() + maxOpOverhead*b.Len())
	defer giveBatch(batch)
	for i := range b.Ops() {
		if err := s.addOp(batch, b.Ops(), i); err != nil {
			return err
		}
	}
	return s.fail("batch", nil, s.db.Write(batch, s.writeOptions(o)))
}

func (s *Store) addOp(batch *leveldb.Batch, ops []mld.Op, i int) error {
	switch op := &ops[i]; op.Kind {
	case mld.OpPut:
		batch.Put(op.Key, op.Value)
	case mld.OpDelete:
		batch.Delete(op.Key)
	default:
		return &mld.Error{
			Code: mld.CodeInvalidArgument, Op: "batch", Where: s.dir,
			Msg: fmt.Sprintf("operation %d is of the unknown kind %d", i, op.Kind),
		}
	}
	return nil
}

func isRange(op mld.Op) bool { return op.Kind == mld.OpDeleteRange }

// batches keeps the memory in which goleveldb's batches are put together.
var batches = sync.Pool{New: func() any { return new(leveldb.Batch) }}

// maxPooledBatch is the size in bytes above which a batch's memory is not kept.
const maxPooledBatch = 1 << 20

// maxOpOverhead is what an operation takes besides its key and value: its kind
// and two lengths.
const maxOpOverhead = 1 + 5 + 5

// takeBatch returns an empty batch that has room for size bytes.
func takeBatch(size int) *leveldb.Batch {
	b := batches.Get().(*leveldb.Batch)
	if cap(b.Dump()) < size {
		b = leveldb.MakeBatch(size)
	}
	return b
}

func giveBatch(b *leveldb.Batch) {
	// The index of a batch takes 40 bytes an operation, an operation at least 2.
	if cap(b.Dump()) > maxPooledBatch || b.Len() > maxPooledBatch/40 {
		return
	}
	b.Reset()
	batches.Put(b)
}
