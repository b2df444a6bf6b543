package leveldbstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/multileveldown/mld"
)

// Apply implements [mld.Writer].
func (s *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	if err := s.beginWrite(ctx, "batch"); err != nil {
		return err
	}
	defer s.writes.RUnlock()
	batch := takeBatch(b.Size() + maxOpOverhead*b.Len())
	defer giveBatch(batch)
	for i, op := range b.Ops() {
		switch op.Kind {
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
	}
	return s.fail("batch", nil, s.db.Write(batch, s.writeOptions(o)))
}

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
