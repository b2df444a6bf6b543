package interop

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/store/storetest"
)

// TestClientConformance runs the conformance suite over a client of each of the
// real hosts, over memory and over LevelDB.
func TestClientConformance(t *testing.T) {
	options := map[string]storetest.Options{
		// Neither wire has snapshots apart from iterators. The older one has no
		// seek, and its stores have no empty key.
		multileveldown: {NoSnapshots: true, NoEmptyKeys: true, NoRangeDeletes: true, SeekTakesNewSnapshot: true},
		manyLevel:      {NoSnapshots: true, NoRangeDeletes: true},
	}
	for _, dialect := range dialects {
		for _, kind := range []string{"memory", "leveldb"} {
			t.Run(dialect+"/"+kind, func(t *testing.T) {
				t.Parallel()
				host := startHost(t, dialect, "--named", "--store", kind, "--dir", t.TempDir())
				var stores atomic.Int64
				dial := func(name string) *hosted {
					return &hosted{
						Client: client.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
							return dialNamed(ctx, host, name)
						}, &client.Options{Dialect: wireDialects[dialect]}),
						name:          name,
						keepsEmptyKey: dialect == manyLevel && kind == "leveldb",
					}
				}
				open := func(*testing.T) mld.Store { return dial(fmt.Sprintf("store-%d", stores.Add(1))) }

				o := options[dialect]
				o.Reopen = func(t *testing.T, s mld.Store) mld.Store {
					closed := s.(*hosted)
					if err := closed.Close(); err != nil {
						t.Fatal(err)
					}
					return dial(closed.name)
				}
				o.ReadOnly = func(t *testing.T, entries []mld.Entry) mld.Store {
					filled := open(t).(*hosted)
					defer filled.Close()
					var b mld.Batch
					for _, e := range entries {
						b.Put(e.Key, e.Value)
					}
					if err := filled.Apply(t.Context(), &b, nil); err != nil {
						t.Fatal(err)
					}
					return dial("readonly:" + filled.name)
				}
				storetest.Run(t, open, &o)
			})
		}
	}
}

// hosted is a client of a store of a real host.
type hosted struct {
	*client.Client
	name string
	// keepsEmptyKey is set for classic-level: its clear stops at a batch of no
	// bytes in keys, and so does nothing where it has only the empty key to
	// remove.
	keepsEmptyKey bool
}

func (s *hosted) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	if !s.keepsEmptyKey || !r.Contains(nil) {
		return s.Client.Clear(ctx, r, o)
	}
	entries, err := mld.Collect(ctx, s, &mld.IterOptions{Range: r, KeysOnly: true})
	if err != nil {
		return err
	}
	if len(entries) == 1 && len(entries[0].Key) == 0 {
		return s.Delete(ctx, nil, o)
	}
	return s.Client.Clear(ctx, r, o)
}
