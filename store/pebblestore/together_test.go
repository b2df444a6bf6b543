package pebblestore_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/multileveldown/mld"
)

// BenchmarkTogether gets 64 keys that arrived together, one by one, and in order
// with one iterator. They are spread over all, or lie within a stretch of so many.
// An operation is one key.
func BenchmarkTogether(b *testing.B) {
	const n = 64
	for _, stretch := range []int{benchEntries, 10_000, 1000, 100} {
		ways := map[string]func(b *testing.B, s mld.Store, keys [][]byte){
			"gets": func(b *testing.B, s mld.Store, keys [][]byte) {
				for _, key := range keys {
					_, pin, err := mld.GetPinned(b.Context(), s, key)
					if err != nil {
						b.Fatal(err)
					}
					pin.Close()
				}
			},
			"iterator": func(b *testing.B, s mld.Store, keys [][]byte) {
				slices.SortFunc(keys, bytes.Compare)
				it, err := s.NewIterator(b.Context(), nil)
				if err != nil {
					b.Fatal(err)
				}
				for _, key := range keys {
					if it.Seek(key); !it.Next() || !bytes.Equal(it.Key(), key) {
						b.Fatalf("%q is not there: %v", key, it.Err())
					}
					it.Value()
				}
				it.Close()
			},
		}
		for _, way := range []string{"gets", "iterator"} {
			b.Run(fmt.Sprintf("%d/%s", stretch, way), func(b *testing.B) {
				s := filled(b)
				keys := make([][]byte, n)
				for done := 0; done < b.N; done += n {
					first := rand.IntN(benchEntries - stretch + 1)
					for i := range keys {
						keys[i] = benchKey(first + rand.IntN(stretch))
					}
					ways[way](b, s, keys)
				}
			})
		}
	}
}
