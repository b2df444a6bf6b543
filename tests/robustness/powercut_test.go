package robustness

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/faultconn"
	"github.com/multileveldown/mld/internal/history"
	"github.com/multileveldown/mld/store/pebblestore"
)

// machine is a server with a disk, whose power can be cut.
type machine struct {
	host
	links []*links
	disk  *vfs.MemFS
	store *pebblestore.Store
	rnd   *rand.Rand
	wrap  func(mld.Store) mld.Store // what is served, if it is not nil

	unplug func() // cuts the power, once
	timer  *time.Timer

	// kept is how much, in percent, of what was not synced a power cut leaves.
	kept int
}

func openPebble(t *testing.T, fs vfs.FS) *pebblestore.Store {
	t.Helper()
	store, err := pebblestore.Open("db", &pebblestore.Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// boot starts the server, and returns what is closed when the power has gone:
// before the nth operation on the disk that changes it, or after some time if
// that comes first. With 0 it stays.
func (m *machine) boot(n int) (gone <-chan struct{}) {
	m.t.Helper()
	cut := make(chan struct{})
	disk := m.disk
	m.unplug = sync.OnceFunc(func() {
		// Whoever was told something before it was on disk shall know it.
		for range 1000 {
			runtime.Gosched()
		}
		// First nobody hears of this machine any more, and then the disk is as
		// it is.
		for _, l := range m.links {
			l.cut(true)
		}
		m.disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: m.kept, RNG: m.rnd})
		close(cut)
	})
	m.timer = nil
	if n > 0 {
		m.timer = time.AfterFunc(time.Duration(n)*2*time.Millisecond, m.unplug)
	}
	var done atomic.Int64
	m.store = openPebble(m.t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && done.Add(1) == int64(n) {
			m.unplug()
		}
		return nil
	})))
	if m.wrap != nil {
		m.start(m.wrap(m.store))
	} else {
		m.start(m.store)
	}
	for _, l := range m.links {
		l.cut(false)
	}
	return cut
}

// halt ends what runs on after the power has gone: nobody sees that.
func (m *machine) halt() {
	if m.timer != nil && !m.timer.Stop() {
		m.unplug() // returns when it is done
	}
	m.stop()
	if err := m.store.Close(); err != nil {
		m.t.Error(err)
	}
}

// run boots the machine again and again until the clients are done.
func (m *machine) run(times int, clients *sync.WaitGroup) (cuts int) {
	done := make(chan struct{})
	go func() {
		clients.Wait()
		close(done)
	}()
	for {
		n := 0 // never
		if cuts < times {
			n = 20 + m.rnd.IntN(30)
		}
		gone := m.boot(n)
		select {
		case <-gone:
			cuts++
			m.halt()
		case <-done:
			m.halt()
			return cuts
		}
	}
}

func newMachine(t *testing.T, seed uint64) *machine {
	return &machine{
		host: host{t: t},
		disk: vfs.NewCrashableMem(),
		rnd:  rand.New(rand.NewPCG(seed, 3000)),
		kept: []int{0, 50, 100}[seed%3],
	}
}

// client returns a client of the machine, and must be called before it runs.
func (m *machine) client() *client.Client {
	l := &links{
		dial:  m.Dial,
		kinds: []faultconn.Kind{faultconn.Reset},
		cuts:  new(atomic.Int64),
		rnd:   m.rnd,
		down:  true,
	}
	m.links = append(m.links, l)
	return client.New(l.Dial, nil)
}

// TestPowerCut lets clients meet on a few keys, all writes synced, while the
// power goes now and then: no order explains a write that was acknowledged and
// is gone, or one that is done again.
func TestPowerCut(t *testing.T) {
	total := 0
	first := eachSeed(t, func(seed uint64) {
		var log history.Log
		synctest.Test(t, func(t *testing.T) {
			total += meetInTheDark(newMachine(t, seed), seed, &log, t.Errorf)
		})
		check(t, &log)
	})
	t.Logf("seeds from %d on: %d power cuts", first, total)
}

// meetInTheDark records what clients do to a machine whose power is cut, and
// returns how often it was.
func meetInTheDark(m *machine, seed uint64, log *history.Log, report func(string, ...any)) int {
	var clients sync.WaitGroup
	for id := range meetClients {
		c := m.client()
		clients.Go(func() {
			doAnything(log.Client(id, c), id, rand.New(rand.NewPCG(seed, uint64(id))), report)
			c.Close()
		})
	}
	return m.run(5, &clients)
}

// TestPowerCutUnsynced writes pairs of entries, some synced, and looks at the
// disk after each power cut: what was acknowledged as synced is there, and with
// it all that the client wrote before; of the rest each pair is there or not.
func TestPowerCutUnsynced(t *testing.T) {
	total, lost := 0, 0
	first := eachSeed(t, func(seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			n, l := unsynced(t, seed)
			total, lost = total+n, lost+l
		})
	})
	t.Logf("seeds from %d on: %d power cuts lost %d unsynced writes", first, total, lost)
}

func unsynced(t *testing.T, seed uint64) (cuts, lost int) {
	const writers, writes = 4, 60
	m := newMachine(t, seed)
	var clients sync.WaitGroup
	var safe [writers]atomic.Int64 // up to which write all is on disk
	acked := [writers][writes]atomic.Bool{}
	pair := func(id, n int) (a, b []byte) { return name("a", id, n), name("b", id, n) }
	for id := range writers {
		c := m.client()
		rnd := rand.New(rand.NewPCG(seed, uint64(id)))
		clients.Go(func() {
			defer c.Close()
			for n := range writes {
				durability := mld.NoSync
				if rnd.IntN(3) == 0 {
					durability = mld.Sync
				}
				var batch mld.Batch
				a, b := pair(id, n)
				batch.Put(a, nil)
				batch.Put(b, nil)
				err := c.Apply(t.Context(), &batch, durability)
				switch {
				case errors.Is(err, mld.ErrSessionLost):
					// All that the session wrote was unsynced, and is gone.
				case err != nil:
					t.Errorf("writer %d, write %d: %v", id, n, err)
				default:
					acked[id][n].Store(true)
					if durability == mld.Sync {
						safe[id].Store(int64(n) + 1)
					}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		clients.Wait()
		close(done)
	}()
	// dropped are the writes that a power cut took: nobody sends them again.
	dropped := map[string]bool{}
	for {
		n := 0
		if cuts < 3 {
			n = 30 + m.rnd.IntN(100)
		}
		gone := m.boot(n)
		select {
		case <-gone:
		case <-done:
		}
		m.halt()
		last := true
		select {
		case <-gone: // perhaps as late as that
			last = false
			cuts++
		default:
		}
		store := openPebble(t, m.disk)
		for id := range writers {
			sure := int(safe[id].Load())
			for n := range writes {
				a, b := pair(id, n)
				values, err := store.GetMany(context.Background(), [][]byte{a, b})
				if err != nil {
					t.Fatal(err)
				}
				there := values[0] != nil
				switch {
				case there != (values[1] != nil):
					t.Errorf("of write %d of writer %d half is there", n, id)
				case there && dropped[string(a)]:
					t.Errorf("write %d of writer %d came back", n, id)
				case there || !acked[id][n].Load():
				case n < sure && !dropped[string(a)]:
					t.Errorf("write %d of writer %d is lost, and %d writes were safe", n, id, sure)
				case last && !dropped[string(a)]:
					t.Errorf("write %d of writer %d is lost without a power cut", n, id)
				case !last && !dropped[string(a)]:
					dropped[string(a)] = true
					lost++
				}
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if last {
			return cuts, lost
		}
	}
}

// TestDiskErrors lets the kth operation that changes the disk fail, for each k
// until there are no more. What was acknowledged is there when the store is
// opened again, after a crash or after the power was cut, and what was refused
// is not.
func TestDiskErrors(t *testing.T) {
	failed := 0
	for k := int64(1); ; k++ {
		injected := false
		synctest.Test(t, func(t *testing.T) { injected = failAt(t, k) })
		if t.Failed() {
			t.Fatalf("with an error at operation %d", k)
		}
		if !injected {
			break
		}
		failed++
	}
	t.Logf("%d operations", failed)
	if failed < 20 {
		t.Error("there were hardly any operations to fail")
	}
}

func failAt(t *testing.T, k int64) (injected bool) {
	const writes = 25
	disk := vfs.NewCrashableMem()
	var on atomic.Bool
	var done atomic.Int64
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && done.Add(1) == k {
			return errorfs.ErrInjected
		}
		return nil
	}))
	store := openPebble(t, fs)
	h := &host{t: t}
	h.start(store)
	c := client.New(h.Dial, nil)
	on.Store(true)
	outcomes := [writes]mld.Outcome{}
	var group sync.WaitGroup
	for w := range 2 {
		group.Go(func() {
			for n := w; n < writes; n += 2 {
				// Large values fill the memtable, so that tables are written.
				err := c.Put(t.Context(), name("k", w, n), make([]byte, 8<<10), nil)
				outcomes[n] = mld.OutcomeOf(err)
				if err != nil && done.Load() < k {
					t.Errorf("write %d failed before the disk did: %v", n, err)
				}
			}
		})
	}
	group.Wait()
	c.Close()
	h.stop()
	injected = done.Load() >= k
	store.Close() //nolint:errcheck // it may say what the writes said
	on.Store(false)

	for _, after := range []struct {
		what string
		disk vfs.FS
	}{
		{"the power was cut", disk.CrashClone(vfs.CrashCloneCfg{})},
		{"the process ended", disk},
	} {
		store := openPebble(t, after.disk)
		for n, outcome := range outcomes {
			_, err := store.Get(context.Background(), name("k", n%2, n))
			there := err == nil
			if outcome == mld.Applied && !there || outcome == mld.NotApplied && there {
				t.Errorf("write %d, of which was said %d: there when %s: %v, %v", n, outcome, after.what, there, err)
			}
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	return injected
}
