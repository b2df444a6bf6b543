package leveldbstore

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/storetest"
)

func mustOpen(t testing.TB, dir string, o *Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*Options{
		"default": nil,
		// Tables and compactions from the first writes on, and no cache.
		"tiny": {WriteBufferBytes: 4 << 10, CacheBytes: -1, BloomBits: -1, Compression: NoCompression, Durability: mld.DurabilityNoSync},
	} {
		t.Run(name, func(t *testing.T) {
			dirs := make(map[mld.Store]string)
			storetest.Run(t, func(t *testing.T) mld.Store {
				dir := t.TempDir()
				s := mustOpen(t, dir, o)
				dirs[s] = dir
				return s
			}, &storetest.Options{
				Reopen: func(t *testing.T, s mld.Store) mld.Store {
					dir := dirs[s]
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					again := mustOpen(t, dir, o)
					dirs[again] = dir
					return again
				},
				ReadOnly: func(t *testing.T, entries []mld.Entry) mld.Store {
					dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
					s := mustOpen(t, dir, o)
					for _, e := range entries {
						if err := s.Put(context.Background(), e.Key, e.Value, nil); err != nil {
							t.Fatal(err)
						}
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					return mustOpen(t, dir, &Options{ReadOnly: true})
				},
			})
		})
	}
}
