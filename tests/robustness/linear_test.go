package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/faultconn"
	"github.com/multileveldown/mld/internal/history"
	"github.com/multileveldown/mld/store/hotcache"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/pebblestore"
)

// TestLinearizable lets clients meet on a few keys over links that fail, while
// the server is restarted, and looks for an order of what they saw.
func TestLinearizable(t *testing.T) {
	for _, engine := range []struct {
		name string
		open func() (mld.Store, error)
	}{
		{"memory", func() (mld.Store, error) { return memstore.New(), nil }},
		{"pebble", func() (mld.Store, error) {
			return pebblestore.Open("db", &pebblestore.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
		}},
		{"memory behind a value cache", func() (mld.Store, error) {
			return hotcache.New(memstore.New(), &hotcache.Options{Bytes: 1 << 20}), nil
		}},
	} {
		t.Run(engine.name, func(t *testing.T) {
			var cuts, ops, unknown int
			first := eachSeed(t, func(seed uint64) {
				var log history.Log
				synctest.Test(t, func(t *testing.T) {
					store, err := engine.open()
					if err != nil {
						t.Fatal(err)
					}
					cuts += meet(t, store, seed, &log, t.Errorf)
					if err := store.Close(); err != nil {
						t.Error(err)
					}
				})
				// The search takes real time, so it is not done in the bubble.
				check(t, &log)
				for _, o := range log.Ops() {
					ops++
					if o.Outcome == mld.Unknown {
						unknown++
					}
				}
			})
			t.Logf("seeds from %d on: %d operations, %d of them unknown, %d cuts", first, ops, unknown, cuts)
		})
	}
}

// check fails the test if the history is not linearizable.
func check(t *testing.T, log *history.Log) {
	t.Helper()
	err := history.Check(log.Ops(), time.Minute)
	if err == nil {
		return
	}
	var v *history.Violation
	if errors.As(err, &v) {
		page := filepath.Join(t.ArtifactDir(), "history.html")
		if verr := v.Visualize(page); verr == nil {
			t.Logf("with -artifacts, %s shows what happened", page)
		}
	}
	t.Error(err)
}

const (
	meetClients    = 3
	meetGoroutines = 3 // of each client
	meetOps        = 25
	meetKeys       = 5
)

// meet records what clients do to a store through a server, and returns how
// many connections were cut. Operations that fail are reported.
func meet(t *testing.T, store mld.Store, seed uint64, log *history.Log, report func(string, ...any)) int {
	h := &host{t: t}
	h.start(store)
	var cuts atomic.Int64
	var clients, workers sync.WaitGroup
	for id := range meetClients {
		l := &links{
			dial:  h.Dial,
			kinds: []faultconn.Kind{faultconn.EOF, faultconn.Reset, faultconn.Silence},
			every: 700,
			delay: 3 * time.Millisecond,
			chunk: 200,
			cuts:  &cuts,
			rnd:   rand.New(rand.NewPCG(seed, uint64(1000+id))),
		}
		c := client.New(l.Dial, nil)
		var mine sync.WaitGroup
		for g := range meetGoroutines {
			n := id*meetGoroutines + g
			work := func() { doAnything(log.Client(n, c), n, rand.New(rand.NewPCG(seed, uint64(n))), report) }
			mine.Go(work)
			workers.Go(mine.Wait)
		}
		clients.Go(func() {
			mine.Wait()
			c.Close()
		})
	}
	done := make(chan struct{})
	go func() {
		clients.Wait()
		close(done)
	}()
	restarts := rand.New(rand.NewPCG(seed, 2000))
	for range 2 {
		select {
		case <-done:
		case <-time.After(time.Duration(restarts.Int64N(int64(500 * time.Millisecond)))):
			h.stop()
			h.start(store)
		}
	}
	<-done
	h.stop()
	return int(cuts.Load())
}

// doAnything does one operation after the other. Every value is another one.
func doAnything(c *history.Client, id int, rnd *rand.Rand, report func(string, ...any)) {
	key := func() []byte { return []byte{'a' + byte(rnd.IntN(meetKeys))} }
	for i := range meetOps {
		time.Sleep(time.Duration(rnd.Int64N(int64(5 * time.Millisecond))))
		ctx, cancel := context.Background(), func() {}
		hasty := rnd.IntN(20) == 0
		if hasty {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.Int64N(int64(50*time.Millisecond))))
		}
		v := fmt.Appendf(nil, "%d.%d", id, i)
		var err error
		switch n := rnd.IntN(100); {
		case n < 15:
			_, err = c.Get(ctx, key())
		case n < 25:
			_, err = c.Get(ctx, key(), key(), key())
		case n < 35:
			scan := c.Scan
			if n < 30 {
				scan = c.ScanSnapshot
			}
			_, err = scan(ctx, mld.Range{Reverse: n%2 == 0})
			if errors.Is(err, mld.ErrSnapshotLost) {
				err = nil // the server was restarted
			}
		case n < 60:
			err = c.Put(ctx, key(), v, nil)
		case n < 70:
			err = c.Delete(ctx, key(), nil)
		case n < 90:
			var b mld.Batch
			b.Put(key(), v)
			b.Delete(key())
			b.Put(key(), v)
			err = c.Apply(ctx, &b, nil)
		case n < 97:
			err = c.Clear(ctx, mld.Range{GTE: key(), Limit: 1, Reverse: n%2 == 0}, nil)
		default:
			err = c.Clear(ctx, mld.Range{GTE: key(), LT: key()}, nil)
		}
		cancel()
		if err != nil && !hasty {
			report("goroutine %d, operation %d: %v", id, i, err)
		}
	}
}
