package hotcache_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/hotcache"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/pebblestore"
)

// BenchmarkGet reads random ones of 100,000 values, of Pebble and out of the cache.
func BenchmarkGet(b *testing.B) {
	const entries = 100_000
	for _, size := range []int{10, 100, 1 << 10, 4 << 10, 16 << 10} {
		n := min(entries, 256<<20/size)
		keys := make([][]byte, n)
		engine, err := pebblestore.Open(b.TempDir(), &pebblestore.Options{CacheBytes: 512 << 20, Durability: mld.DurabilityNoSync})
		if err != nil {
			b.Fatal(err)
		}
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "key-%012d", i)
			value := make([]byte, size)
			for j := 0; j < size; j += 16 {
				value[j] = byte(rand.Uint32())
			}
			if err := engine.Put(b.Context(), keys[i], value, nil); err != nil {
				b.Fatal(err)
			}
		}
		cached := hotcache.New(engine, &hotcache.Options{Bytes: 512 << 20})
		for _, s := range []struct {
			name string
			s    mld.Store
		}{{"pebble", engine}, {"cached", cached}} {
			for _, key := range keys {
				if _, err := s.s.Get(b.Context(), key); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(fmt.Sprintf("%d/%s", size, s.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, pin, err := mld.GetPinned(b.Context(), s.s, keys[rand.IntN(n)])
					if err != nil {
						b.Fatal(err)
					}
					if pin != nil {
						pin.Close()
					}
				}
			})
		}
		cached.Close()
	}
}

// BenchmarkTogether reads random ones of 1,000,000 values out of the cache. An
// operation is one value.
func BenchmarkTogether(b *testing.B) {
	const entries = 1_000_000
	s := hotcache.New(memstore.New(), &hotcache.Options{Bytes: 192 << 20})
	defer s.Close()
	keys := make([][]byte, entries)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%012d", i)
		if err := s.Put(b.Context(), keys[i], make([]byte, 100), nil); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Get(b.Context(), keys[i]); err != nil {
			b.Fatal(err)
		}
	}
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			group := make([][]byte, n)
			b.ReportAllocs()
			for done := 0; done < b.N; done += n {
				for i := range group {
					group[i] = keys[rand.IntN(entries)]
				}
				if err := s.GetTogether(b.Context(), group, func(_ int, _ []byte, err error) error { return err }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPut is what a write costs more, with the value in the cache or not.
func BenchmarkPut(b *testing.B) {
	for _, s := range []struct {
		name string
		wrap func(mld.Store) mld.Store
	}{
		{"pebble", func(s mld.Store) mld.Store { return s }},
		{"cached", func(s mld.Store) mld.Store { return hotcache.New(s, nil) }},
	} {
		b.Run(s.name, func(b *testing.B) {
			engine, err := pebblestore.Open(b.TempDir(), &pebblestore.Options{Durability: mld.DurabilityNoSync})
			if err != nil {
				b.Fatal(err)
			}
			store := s.wrap(engine)
			defer store.Close()
			value := make([]byte, 100)
			var key []byte
			b.ReportAllocs()
			for b.Loop() {
				key = fmt.Appendf(key[:0], "key-%012d", rand.IntN(100_000))
				if err := store.Put(b.Context(), key, value, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
