package pebblestore_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/multileveldown/mld"
)

// TestClearAmongWrites clears everything, alone or as a part of a batch, which has
// to look for the last key, while others write batches that begin before the last
// key and end after it. No batch may be cleared by half. Each has keys of its own,
// so that none mends what was done to the one before.
func TestClearAmongWrites(t *testing.T) {
	s := open(t, "db", small(vfs.NewMem()))
	defer s.Close()
	ctx := t.Context()
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
	var pair mld.Batch
	n := 0
	loop(func() error {
		n++
		pair.Reset()
		pair.Put(fmt.Appendf(nil, "a%08d", n), nil)
		pair.Put(fmt.Appendf(nil, "z%08d", n), nil)
		return s.Apply(ctx, &pair, mld.NoSync)
	})
	loop(func() error { return s.Put(ctx, []byte("m"), nil, mld.NoSync) })
	var all mld.Batch
	all.DeleteRange(nil, nil)
	for i := range 200 { // which take their time after the last key was looked for
		all.Delete(fmt.Appendf(nil, "n%d", i))
	}
	clears := []func() error{
		func() error { return s.Clear(ctx, mld.Range{}, mld.NoSync) },
		func() error { return s.Clear(ctx, mld.Range{Limit: 1 << 30}, mld.NoSync) },
		func() error { return s.Clear(ctx, mld.Range{Limit: 1 << 30, Reverse: true}, mld.NoSync) },
		func() error { return s.Apply(ctx, &all, mld.NoSync) },
	}
	for i := range 60 {
		if err := clears[i%len(clears)](); err != nil {
			t.Fatal(err)
		}
		entries, err := mld.Collect(ctx, s, &mld.IterOptions{KeysOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		ends := map[byte]int{}
		for _, e := range entries {
			ends[e.Key[0]]++
		}
		if ends['a'] != ends['z'] {
			t.Errorf("clear %d left one end of a batch: %d begin and %d end", i, ends['a'], ends['z'])
			break
		}
	}
}

// TestClearsAreFlushed counts memtables while ranges are removed that each lie within the
// one before. Kept in one, they would take memory with the square of their number.
func TestClearsAreFlushed(t *testing.T) {
	const clears = 1000
	for name, clear := range map[string]func(s mld.Store, lower, upper []byte) error{
		"Clear": func(s mld.Store, lower, upper []byte) error {
			return s.Clear(t.Context(), mld.Range{GTE: lower, LT: upper}, mld.NoSync)
		},
		"Clear with a limit": func(s mld.Store, lower, upper []byte) error {
			return s.Clear(t.Context(), mld.Range{GTE: lower, LT: upper, Limit: 1}, mld.NoSync)
		},
		"Apply": func(s mld.Store, lower, upper []byte) error {
			var b mld.Batch
			b.DeleteRange(lower, upper)
			return s.Apply(t.Context(), &b, mld.NoSync)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var logs atomic.Int64 // one for each memtable
			o := small(vfs.NewMem())
			o.Configure = func(p *pebble.Options) {
				p.EventListener.WALCreated = func(pebble.WALCreateInfo) { logs.Add(1) }
			}
			s := open(t, "db", o)
			defer s.Close()
			for i := range clears {
				lower, upper := fmt.Appendf(nil, "%04d", i), fmt.Appendf(nil, "%04d", 9999-i)
				if err := clear(s, lower, upper); err != nil {
					t.Fatal(err)
				}
			}
			if n := logs.Load(); n < clears/100 || n > clears/10 {
				t.Errorf("%d memtables for %d removals", n, clears)
			}
		})
	}
}
