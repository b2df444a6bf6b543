package pebblestore_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/pebblestore"
)

const benchEntries = 100_000

func benchKey(i int) []byte { return fmt.Appendf(nil, "key-%012d", i) }

// filled returns a store on disk with benchEntries values of 100 bytes, in tables.
func filled(b *testing.B) *pebblestore.Store {
	b.Helper()
	dir := b.TempDir()
	s := open(b, dir, nil)
	var batch mld.Batch
	value := make([]byte, 100)
	for i := range benchEntries {
		batch.Put(benchKey(i), value)
		if batch.Len() == 1000 {
			if err := s.Apply(b.Context(), &batch, mld.NoSync); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
	closeStore(b, s)
	s = open(b, dir, nil)
	b.Cleanup(func() { closeStore(b, s) })
	b.ReportAllocs()
	b.ResetTimer()
	return s
}

func BenchmarkGet(b *testing.B) {
	s := filled(b)
	for b.Loop() {
		if _, err := s.Get(b.Context(), benchKey(rand.IntN(benchEntries))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGetPinned has the key made beforehand, to show that nothing is
// allocated.
func BenchmarkGetPinned(b *testing.B) {
	s := filled(b)
	key := benchKey(4711)
	for b.Loop() {
		_, c, err := s.GetPinned(b.Context(), key)
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func BenchmarkGetPinnedParallel(b *testing.B) {
	s := filled(b)
	b.RunParallel(func(pb *testing.PB) {
		key := benchKey(rand.IntN(benchEntries))
		for pb.Next() {
			var c io.Closer
			var err error
			if _, c, err = s.GetPinned(b.Context(), key); err != nil {
				b.Error(err)
				return
			}
			c.Close()
		}
	})
}

func BenchmarkGetMany16(b *testing.B) {
	s := filled(b)
	keys := make([][]byte, 16)
	for b.Loop() {
		for i := range keys {
			keys[i] = benchKey(rand.IntN(benchEntries))
		}
		if _, err := s.GetMany(b.Context(), keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutNoSync(b *testing.B) {
	s := filled(b)
	key, value := benchKey(0), make([]byte, 100)
	for b.Loop() {
		if err := s.Put(b.Context(), key, value, mld.NoSync); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutSyncParallel shows how many writers share an fsync.
func BenchmarkPutSyncParallel(b *testing.B) {
	s := filled(b)
	value := make([]byte, 100)
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		key := benchKey(rand.IntN(benchEntries))
		for pb.Next() {
			if err := s.Put(b.Context(), key, value, mld.Sync); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkBatch100(b *testing.B) {
	s := filled(b)
	var batch mld.Batch
	for i := range 100 {
		batch.Put(benchKey(i), make([]byte, 100))
	}
	for b.Loop() {
		if err := s.Apply(b.Context(), &batch, mld.NoSync); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan's operation is an entry.
func BenchmarkScan(b *testing.B) {
	for name, o := range map[string]mld.IterOptions{
		"forward":  {},
		"reverse":  {Range: mld.Range{Reverse: true}},
		"keysOnly": {KeysOnly: true},
	} {
		b.Run(name, func(b *testing.B) {
			s := filled(b)
			var it mld.Iterator
			var size int
			for b.Loop() {
				for it == nil || !it.Next() {
					if it != nil {
						it.Close()
					}
					var err error
					if it, err = s.NewIterator(b.Context(), &o); err != nil {
						b.Fatal(err)
					}
				}
				size += len(it.Key()) + len(it.Value())
			}
			it.Close()
			b.SetBytes(116)
		})
	}
}

// BenchmarkIterator10 makes an iterator, takes ten entries and closes it.
func BenchmarkIterator10(b *testing.B) {
	s := filled(b)
	o := &mld.IterOptions{Range: mld.Range{GTE: benchKey(4711), Limit: 10}}
	for b.Loop() {
		it, err := s.NewIterator(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		for it.Next() {
			_ = it.Value()
		}
		it.Close()
	}
}

// BenchmarkClear removes ranges and reads after each: ranges that lie each within the
// one before, and ranges that lie apart, with three keys in each.
func BenchmarkClear(b *testing.B) {
	for _, bench := range []struct {
		name string
		keys int
		rang func(i int) mld.Range
	}{
		{"within", 0, func(i int) mld.Range {
			return mld.Range{GTE: fmt.Appendf(nil, "range-%09d", i), LT: fmt.Appendf(nil, "range-%09d", 1_000_000_000-i)}
		}},
		{"apart", 3, func(i int) mld.Range {
			return mld.Range{GTE: fmt.Appendf(nil, "range-%09d", i), LT: fmt.Appendf(nil, "range-%09d", i+1)}
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := filled(b)
			key := benchKey(4711)
			var batch mld.Batch
			for i := 0; b.Loop(); i++ {
				r := bench.rang(i)
				batch.Reset()
				for n := range bench.keys {
					batch.Put(fmt.Appendf(r.GTE, "-%d", n), key)
				}
				if err := s.Apply(b.Context(), &batch, mld.NoSync); err != nil {
					b.Fatal(err)
				}
				if err := s.Clear(b.Context(), r, mld.NoSync); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Get(b.Context(), key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
