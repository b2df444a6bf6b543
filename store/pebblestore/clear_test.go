package pebblestore_test

import (
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/multileveldown/mld"
)

// TestClearAmongWrites clears everything, alone or as a part of a batch, which has to look for the last key,
// while others write batches that begin before the last key and end after it. No
// batch may be cleared by half.
func TestClearAmongWrites(t *testing.T) {
	s := open(t, "db", small(vfs.NewMem()))
	defer s.Close()
	ctx := t.Context()
	var batch mld.Batch
	batch.Put([]byte("a"), nil)
	batch.Put([]byte("z"), nil)
	done := make(chan struct{})
	var wg sync.WaitGroup
	loop := func(f func() error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer wg.Wait()
	defer close(done)
	loop(func() error { return s.Apply(ctx, &batch, mld.NoSync) })
	loop(func() error { return s.Put(ctx, []byte("m"), nil, mld.NoSync) })
	clears := []mld.Range{{}, {Limit: 100}, {Limit: 100, Reverse: true}}
	for i := range 200 {
		if err := s.Clear(ctx, clears[i%len(clears)], mld.NoSync); err != nil {
			t.Fatal(err)
		}
		values, err := s.GetMany(ctx, [][]byte{[]byte("a"), []byte("z")})
		if err != nil {
			t.Fatal(err)
		}
		if (values[0] == nil) != (values[1] == nil) {
			t.Errorf("a batch was cleared by half: a %t, z %t", values[0] != nil, values[1] != nil)
			break
		}
	}
}
