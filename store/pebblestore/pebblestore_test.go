package pebblestore_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/store/storetest"
)

func open(t testing.TB, dir string, o *pebblestore.Options) *pebblestore.Store {
	t.Helper()
	s, err := pebblestore.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConformance runs the suite over a file system in memory, but for the cases
// that reopen.
func TestConformance(t *testing.T) {
	small := func(fs vfs.FS) *pebblestore.Options {
		return &pebblestore.Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20}
	}
	storetest.Run(t, func(t *testing.T) mld.Store {
		return open(t, "db", small(vfs.NewMem()))
	}, &storetest.Options{
		ReadOnly: func(t *testing.T, entries []mld.Entry) mld.Store {
			o := small(vfs.NewMem())
			s := open(t, "db", o)
			for _, e := range entries {
				if err := s.Put(t.Context(), e.Key, e.Value, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			o.ReadOnly = true
			return open(t, "db", o)
		},
	})
}
