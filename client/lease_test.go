package client_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/wire"
)

func (h *sessionHost) metric(name string) float64 {
	h.t.Helper()
	stats, err := h.server.Stats(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return stats.Metrics[name]
}

// fill puts entries of a generation.
func (h *sessionHost) fill(entries, generation int) {
	h.t.Helper()
	var b mld.Batch
	for i := range entries {
		b.Put(fmt.Appendf(nil, "k%04d", i), fmt.Appendf(nil, "generation %d of %d, and so on for a while", generation, i))
	}
	for i := generation; i < entries && generation > 0; i += 3 {
		b.Delete(fmt.Appendf(nil, "k%04d", i))
	}
	if err := h.journal.Store.Apply(h.t.Context(), &b, nil); err != nil {
		h.t.Fatal(err)
	}
}

// TestSeekKeepsState has an iterator seek and go on, over connections that are
// cut, beside one of the store itself: both read the same state.
func TestSeekKeepsState(t *testing.T) {
	const entries = 1500
	key := func(i int) []byte { return fmt.Appendf(nil, "k%04d", i) }
	for _, dialect := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		for _, o := range []mld.IterOptions{
			{Range: mld.Range{LT: []byte("l")}},
			{Range: mld.Range{LT: []byte("l"), Reverse: true}},
			{Range: mld.Range{GT: key(100), LTE: key(1400)}},
			{Range: mld.Range{GTE: key(100), LT: key(1400), Reverse: true, Limit: 2500}, KeysOnly: true},
		} {
			t.Run(fmt.Sprintf("%v %+v", dialect, o.Range), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newSessionHost(t, 0)
					defer h.close()
					h.fill(entries, 0)
					n := &link{h: h}
					c := client.New(n.dial, &client.Options{Dialect: dialect})
					defer c.Close()
					want, err := h.journal.Store.NewIterator(t.Context(), &o)
					if err != nil {
						t.Fatal(err)
					}
					defer want.Close()
					strict := o
					strict.Strict = true
					it, err := c.NewIterator(t.Context(), &strict)
					if err != nil {
						t.Fatal(err)
					}
					defer it.Close()
					random := rand.New(rand.NewPCG(1, 2)) // the same choices each time
					for round := range 30 {
						if random.IntN(3) > 0 {
							target := key(random.IntN(entries))
							want.Seek(target)
							it.Seek(target)
						}
						for i := range 1 + random.IntN(400) {
							more := want.Next()
							if it.Next() != more || more && (string(it.Key()) != string(want.Key()) || string(it.Value()) != string(want.Value())) {
								t.Fatalf("round %d, step %d: %q: %q, %v; want %q: %q", round, i, it.Key(), it.Value(), it.Err(), want.Key(), want.Value())
							}
							if !more {
								break
							}
						}
						h.fill(entries, 1+round%3)
						if random.IntN(2) > 0 {
							n.cut()
						}
					}
					if err := it.Err(); err != nil || it.(*client.Iterator).Renewed() {
						t.Errorf("%v, renewed %t", err, it.(*client.Iterator).Renewed())
					}
					synctest.Wait() // the client has noticed the last cut
					it.Close()
					if err := c.WaitReady(t.Context()); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if n := h.metric("server_open_iterators"); n != 0 {
						t.Errorf("%v iterators are open after all", n)
					}
				})
			})
		}
	}
}

// TestClosedAway closes iterators and snapshots while there is no connection: the
// server is told to end them by the next one.
func TestClosedAway(t *testing.T) {
	for _, dialect := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		t.Run(dialect.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newSessionHost(t, 0)
				defer h.close()
				h.fill(100, 0)
				n := &link{h: h}
				c := client.New(n.dial, &client.Options{Dialect: dialect})
				defer c.Close()
				snap, err := c.NewSnapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var its []mld.Iterator
				for _, reverse := range []bool{false, true} {
					it, err := c.NewIterator(t.Context(), &mld.IterOptions{Range: mld.Range{Reverse: reverse}})
					if err != nil || !it.Next() {
						t.Fatal(err)
					}
					its = append(its, it)
				}
				kept := its[0]
				h.setAway(true)
				n.cut()
				synctest.Wait()
				if n := h.metric("server_leases"); n != 3 {
					t.Fatalf("%v leases", n)
				}
				its[1].Close()
				snap.Close()
				h.setAway(false)
				if err := c.WaitReady(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if leases, snapshots, iterators := h.metric("server_leases"), h.metric("server_open_snapshots"), h.metric("server_open_iterators"); leases != 1 || snapshots != 0 || iterators != 1 {
					t.Errorf("%v leases, %v snapshots and %v iterators; want that of the iterator that is open", leases, snapshots, iterators)
				}
				for kept.Next() {
				}
				if kept.Err() != nil || kept.(*client.Iterator).Renewed() {
					t.Errorf("%v, renewed %t", kept.Err(), kept.(*client.Iterator).Renewed())
				}
				// One that a seek has left without a place at the server.
				kept.Seek([]byte("k0050"))
				kept.Next()
				kept.Close()
				synctest.Wait()
				if n := h.metric("server_open_iterators"); n != 0 {
					t.Errorf("%v iterators are open", n)
				}
			})
		})
	}
}

// TestSeekOutsideThenClose has nothing left open at the server of an iterator whose
// last seek needed no opening.
func TestSeekOutsideThenClose(t *testing.T) {
	for _, dialect := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		synctest.Test(t, func(t *testing.T) {
			h := newSessionHost(t, 0)
			defer h.close()
			h.fill(100, 0)
			c := client.New(h.dial, &client.Options{Dialect: dialect})
			defer c.Close()
			it, err := c.NewIterator(t.Context(), &mld.IterOptions{Range: mld.Range{LT: []byte("k0090")}})
			if err != nil || !it.Next() {
				t.Fatal(err)
			}
			it.Seek([]byte("k0095"))
			if it.Next() {
				t.Errorf("%q is outside of the range", it.Key())
			}
			it.Close()
			synctest.Wait()
			if n := h.metric("server_open_iterators"); n != 0 {
				t.Errorf("%v: %v iterators are open", dialect, n)
			}
		})
	}
}

// TestCloseOfReader has a client that only read leave no leases.
func TestCloseOfReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSessionHost(t, 0)
		defer h.close()
		h.fill(100, 0)
		c := client.New(h.dial, nil)
		if _, err := c.NewIterator(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		c.Close()
		synctest.Wait()
		if n := h.metric("server_leases"); n != 0 {
			t.Errorf("%v leases", n)
		}
	})
}
