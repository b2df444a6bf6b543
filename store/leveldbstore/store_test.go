package leveldbstore_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/storetest"
)

func TestMain(m *testing.M) {
	// This goroutine of goleveldb ends by itself, up to a second after Close.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

func open(t testing.TB, dir string, o *leveldbstore.Options) *leveldbstore.Store {
	t.Helper()
	s, err := leveldbstore.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]*leveldbstore.Options{
		"default": nil,
		// Tables and compactions from the first writes on, and no cache.
		"tiny": {WriteBufferBytes: 4 << 10, CacheBytes: -1, BloomBits: -1, Compression: leveldbstore.NoCompression, Durability: mld.DurabilityNoSync},
	} {
		t.Run(name, func(t *testing.T) {
			dirs := make(map[mld.Store]string)
			storetest.Run(t, func(t *testing.T) mld.Store {
				dir := t.TempDir()
				s := open(t, dir, o)
				dirs[s] = dir
				return s
			}, &storetest.Options{
				Reopen: func(t *testing.T, s mld.Store) mld.Store {
					dir := dirs[s]
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					again := open(t, dir, o)
					dirs[again] = dir
					return again
				},
				ReadOnly: func(t *testing.T, entries []mld.Entry) mld.Store {
					dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
					s := open(t, dir, o)
					for _, e := range entries {
						if err := s.Put(context.Background(), e.Key, e.Value, nil); err != nil {
							t.Fatal(err)
						}
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					return open(t, dir, &leveldbstore.Options{ReadOnly: true})
				},
			})
		})
	}
}
