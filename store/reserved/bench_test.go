package reserved_test

import (
	"fmt"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/reserved"
)

// both runs a benchmark over a store and over the same without reserved keys.
func both(b *testing.B, f func(b *testing.B, s mld.Store)) {
	below := memstore.New()
	for n := range 100_000 {
		fill(b, below, fmt.Sprintf("key%08d", n))
	}
	fill(b, below, hidden...)
	for _, c := range []struct {
		name string
		s    mld.Store
	}{{"bare", below}, {"hidden", reserved.Hide(below)}} {
		b.Run(c.name, func(b *testing.B) { f(b, c.s) })
	}
}

func BenchmarkGetPinned(b *testing.B) {
	key := []byte("key00004711")
	both(b, func(b *testing.B, s mld.Store) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := mld.GetPinned(b.Context(), s, key); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPut(b *testing.B) {
	key, value := []byte("key00004711"), make([]byte, 100)
	both(b, func(b *testing.B, s mld.Store) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Put(b.Context(), key, value, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkScan's operation is an entry.
func BenchmarkScan(b *testing.B) {
	both(b, func(b *testing.B, s mld.Store) {
		var it mld.Iterator
		b.ReportAllocs()
		for b.Loop() {
			if it == nil || !it.Next() {
				if it != nil {
					it.Close()
				}
				var err error
				if it, err = s.NewIterator(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
			}
		}
		it.Close()
	})
}
