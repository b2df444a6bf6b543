package memstore_test

import (
	"fmt"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) mld.Store { return memstore.New() }, nil)
}

func fill(t testing.TB, s *memstore.Store, n int) {
	t.Helper()
	for i := range n {
		if err := s.Put(t.Context(), fmt.Appendf(nil, "key%08d", i), []byte("value"), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestViewsCostTheSame compares what snapshots and iterators of a small and a large
// store allocate, each after a write.
func TestViewsCostTheSame(t *testing.T) {
	cost := func(entries int) float64 {
		s := memstore.New()
		defer s.Close()
		fill(t, s, entries)
		key := []byte("key00000000")
		return testing.AllocsPerRun(100, func() {
			snap, err := s.NewSnapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			it, err := snap.NewIterator(t.Context(), nil)
			if err != nil || !it.Next() {
				t.Fatal(err)
			}
			it.Close()
			snap.Close()
			if err := s.Put(t.Context(), key, nil, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	small, large := cost(100), cost(50_000)
	if large > small+20 { // the write copies one node for each level of the tree
		t.Errorf("a snapshot allocates %.0f times over 50,000 entries and %.0f over 100", large, small)
	}
}

// TestMemoryBytes counts the bytes again after changes of each kind.
func TestMemoryBytes(t *testing.T) {
	ctx := t.Context()
	s := memstore.New()
	fill(t, s, 100)
	var b mld.Batch
	b.Put([]byte("key00000001"), []byte("a longer value"))
	b.Delete([]byte("key00000002"))
	b.Delete([]byte("missing"))
	for name, change := range map[string]func() error{
		"Put":     func() error { return s.Put(ctx, []byte("key00000003"), nil, nil) },
		"Delete":  func() error { return s.Delete(ctx, []byte("key00000004"), nil) },
		"Apply":   func() error { return s.Apply(ctx, &b, nil) },
		"Clear":   func() error { return s.Clear(ctx, mld.Range{GTE: []byte("key00000050"), Limit: 10}, nil) },
		"nothing": func() error { return nil },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		var want int64
		n := 0
		for e, err := range mld.All(ctx, s, nil) {
			if err != nil {
				t.Fatal(err)
			}
			want += int64(len(e.Key) + len(e.Value))
			n++
		}
		stats, err := s.Stats(ctx)
		if err != nil || stats.MemoryBytes != want || stats.Metrics["entries"] != float64(n) {
			t.Errorf("after %s: %+v, %v; want %d bytes in %d entries", name, stats, err, want, n)
		}
	}
	if err := s.Clear(ctx, mld.Range{}, nil); err != nil {
		t.Fatal(err)
	}
	if stats, err := s.Stats(ctx); err != nil || stats.MemoryBytes != 0 {
		t.Errorf("after everything was cleared: %+v, %v", stats, err)
	}
}

func BenchmarkGetPinned(b *testing.B) {
	s := memstore.New()
	fill(b, s, 100_000)
	key := []byte("key00004711")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.GetPinned(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := memstore.New()
	fill(b, s, 100_000)
	key, value := []byte("key00004711"), make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Put(b.Context(), key, value, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan's operation is an entry.
func BenchmarkScan(b *testing.B) {
	for name, r := range map[string]mld.Range{"forward": {}, "reverse": {Reverse: true}} {
		b.Run(name, func(b *testing.B) {
			s := memstore.New()
			fill(b, s, 100_000)
			it, err := s.NewIterator(b.Context(), &mld.IterOptions{Range: r})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !it.Next() {
					if it, err = s.NewIterator(b.Context(), &mld.IterOptions{Range: r}); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
