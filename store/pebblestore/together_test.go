package pebblestore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/multileveldown/mld"
)

// BenchmarkTogether gets keys that arrived together, in turn, and together. They
// are spread over all, or lie within a stretch of so many. An operation is one key.
func BenchmarkTogether(b *testing.B) {
	ways := map[string]func(context.Context, mld.Reader, [][]byte, func(int, []byte, error) error) error{
		"in turn":  mld.GetInTurn,
		"together": mld.GetTogether,
	}
	for _, n := range []int{4, 16, 64} {
		for _, stretch := range []int{benchEntries, 1000} {
			for _, way := range []string{"in turn", "together"} {
				b.Run(fmt.Sprintf("%d of %d/%s", n, stretch, way), func(b *testing.B) {
					s := filled(b)
					keys := make([][]byte, n)
					for done := 0; done < b.N; done += n {
						start := rand.IntN(benchEntries - stretch + 1)
						for i := range keys {
							keys[i] = benchKey(start + rand.IntN(stretch))
						}
						err := ways[way](b.Context(), s, keys, func(_ int, _ []byte, err error) error { return err })
						if err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
