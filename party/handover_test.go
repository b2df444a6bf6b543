package party

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/store/storetest"
)

func yield() {
	runtime.Gosched()
	time.Sleep(100 * time.Microsecond) // between two looks, nothing depends on it
}

// die ends a host as the death of its process does: its connections end, and the
// lock is free. The socket and the record stay.
func die(t *testing.T, p *Party) {
	t.Helper()
	h := p.hosting()
	h.server.Close()
	p.setRoute(closedStore{dir: p.dir})
	p.cancel()
	p.client.Close()
	p.settling.Wait()
	h.wg.Wait()
	h.sessions.Close()
	if err := errors.Join(h.store.Close(), h.lock.Close()); err != nil {
		t.Error(err)
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cut()
	p.become(Event{Role: Closed})
	p.serving.Wait()
	p.telling.Wait()
	close(p.done)
}

func TestConformance(t *testing.T) {
	t.Run("host", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) mld.Store { return join(t, t.TempDir(), nil) }, &storetest.Options{
			NoRangeDeletes: true,
			Reopen: func(t *testing.T, s mld.Store) mld.Store {
				dir := s.(*Party).Dir()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return join(t, dir, nil)
			},
		})
	})
	for _, engine := range []Engine{Pebble, LevelDB} {
		t.Run("guest of "+string(engine), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) mld.Store {
				dir := t.TempDir()
				join(t, dir, &Options{Engine: engine, Durability: mld.DurabilityNoSync})
				return join(t, dir, nil)
			}, &storetest.Options{NoRangeDeletes: true})
		})
	}
}

// TestPendingInOrder has a guest with writes under way become the host: it must do
// them once, in the order in which they were issued, and one that is issued after the
// take-over must come after all of them.
func TestPendingInOrder(t *testing.T) {
	dir, d := t.TempDir(), newDisk(t)
	host := join(t, dir, d.options())
	guest := join(t, dir, d.options())
	mustPut(t, guest, "key", "first")
	release := d.stick()

	want := []string{"key=first"}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if err := guest.Put(testContext(t), []byte("key"), []byte(number(i)), nil); err != nil {
				t.Error(err)
			}
		})
		for guest.client.Pending() <= i { // it is issued, so the next one comes after it
			yield()
		}
		want = append(want, "key="+number(i))
	}
	d.awaitStuck()
	die(t, host)
	for guest.hosting() == nil || guest.route.Load().store != nil {
		yield()
	}
	// What was under way is so again, by way of the new host's own server.
	d.awaitStuck()
	last := make(chan error, 1)
	go func() { last <- guest.Put(testContext(t), []byte("key"), []byte("last"), nil) }()
	ctx, cancel := contextWithin(t, 50*time.Millisecond)
	defer cancel()
	if err := guest.Put(ctx, []byte("key"), []byte("early"), nil); mld.OutcomeOf(err) != mld.NotApplied {
		t.Fatalf("a write that overtakes those that are pending: %v", err)
	}
	if r := guest.Role().Role; r != Seeking {
		t.Fatalf("the member is %v before it has done what was pending", r)
	}
	release()
	wg.Wait()
	if err := <-last; err != nil {
		t.Fatal(err)
	}
	awaitRole(t, guest, Host)
	want = append(want, "key=last")
	if got := d.written(); !slices.Equal(got, want) {
		t.Fatalf("written:\n%q\nwant\n%q", got, want)
	}
}

// half is a scan that is half read.
type half struct {
	it     *client.Iterator
	strict bool
	read   int
}

func (h *half) next(t *testing.T) {
	t.Helper()
	if !h.it.Next() {
		t.Fatalf("the scan ended: %v", h.it.Err())
	}
	h.check(t)
}

// check checks the entry that the scan has moved to.
func (h *half) check(t *testing.T) {
	t.Helper()
	if got, want := string(h.it.Key()), number(h.read); got != want {
		t.Fatalf("the scan returned %s; want %s", got, want)
	}
	h.read++
}

// TestIteratorsGoOn has scans that are half read when the host dies: one goes on, in
// the process that becomes the host and in one that stays a guest; a strict one
// fails, and so does a snapshot.
func TestIteratorsGoOn(t *testing.T) {
	dir := t.TempDir()
	host := join(t, dir, nil)
	const n = 2000
	var b mld.Batch
	value := bytes.Repeat([]byte("v"), 1000) // more in all than is sent ahead
	for i := range n {
		b.Put([]byte(number(i)), value)
	}
	if err := host.Apply(testContext(t), &b, nil); err != nil {
		t.Fatal(err)
	}
	next := join(t, dir, nil)
	other := join(t, dir, &Options{GuestOnly: true})

	var scans []*half
	var snaps []mld.Snapshot
	for _, p := range []*Party{next, other} {
		for _, strict := range []bool{false, true} {
			it, err := p.NewIterator(t.Context(), &mld.IterOptions{Strict: strict})
			if err != nil {
				t.Fatal(err)
			}
			defer it.Close()
			h := &half{it: it.(*client.Iterator), strict: strict}
			for range 10 {
				h.next(t)
			}
			scans = append(scans, h)
		}
		snap, err := p.NewSnapshot(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		wantValue(t, snap, number(0), string(value))
		snaps = append(snaps, snap)
	}
	die(t, host)
	awaitRole(t, next, Host)
	awaitRole(t, other, Guest)
	for _, h := range scans {
		for h.it.Next() {
			h.check(t)
		}
		err := h.it.Err()
		switch {
		case h.strict && !errors.Is(err, mld.ErrSnapshotLost):
			t.Errorf("a strict scan read %d entries and ended with %v", h.read, err)
		case !h.strict && (err != nil || h.read != n || !h.it.Renewed()):
			t.Errorf("a scan read %d entries, ended with %v, renewed %t", h.read, err, h.it.Renewed())
		}
	}
	for _, snap := range snaps {
		if _, err := snap.Get(testContext(t), []byte(number(0))); !errors.Is(err, mld.ErrSnapshotLost) {
			t.Errorf("a snapshot of a host that is gone: %v", err)
		}
	}
}
