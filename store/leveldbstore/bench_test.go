package leveldbstore

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/multileveldown/mld"
)

const benchEntries = 100_000

func benchKey(key []byte, n int) []byte {
	return binary.BigEndian.AppendUint64(append(key[:0], "key "...), uint64(n%benchEntries))
}

// filled returns a store with entries in tables, in the cache once read.
func filled(b *testing.B) *Store {
	b.Helper()
	s := mustOpen(b, b.TempDir(), &Options{Durability: mld.DurabilityNoSync})
	var batch mld.Batch
	value := make([]byte, 100)
	for n := range benchEntries {
		batch.Put(benchKey(nil, n), value)
		if batch.Len() == 1000 {
			if err := s.Apply(b.Context(), &batch, nil); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	return s
}

func BenchmarkGet(b *testing.B) {
	s := filled(b)
	var key []byte
	n := 0
	for b.Loop() {
		n += 7919
		key = benchKey(key, n)
		if _, err := s.Get(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetMany(b *testing.B) {
	s := filled(b)
	keys := make([][]byte, 100)
	n := 0
	for b.Loop() {
		for i := range keys {
			n += 7919
			keys[i] = benchKey(keys[i], n)
		}
		if _, err := s.GetMany(b.Context(), keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	for _, reverse := range []bool{false, true} {
		b.Run(fmt.Sprintf("reverse=%t", reverse), func(b *testing.B) {
			s := filled(b)
			n := 0
			for b.Loop() {
				n += 7919
				it, err := s.NewIterator(b.Context(), &mld.IterOptions{Range: mld.Range{Limit: 1000, Reverse: reverse}})
				if err != nil {
					b.Fatal(err)
				}
				for it.Next() {
				}
				if err := it.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, o := range []*mld.WriteOptions{mld.NoSync, mld.Sync} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%v/writers=%d", o.Durability, writers), func(b *testing.B) {
				s := mustOpen(b, b.TempDir(), nil)
				value := make([]byte, 100)
				b.ReportAllocs()
				b.SetParallelism(max(1, writers/2)) // of GOMAXPROCS, 2 where this was measured
				if writers == 1 {
					for n := 0; b.Loop(); n++ {
						if err := s.Put(b.Context(), benchKey(nil, n), value, o); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					var key []byte
					for n := 0; pb.Next(); n++ {
						key = benchKey(key, n)
						if err := s.Put(b.Context(), key, value, o); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := mustOpen(b, b.TempDir(), nil)
	var batch mld.Batch
	for n := range 100 {
		batch.Put(benchKey(nil, n), make([]byte, 100))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Apply(b.Context(), &batch, mld.NoSync); err != nil {
			b.Fatal(err)
		}
	}
}
