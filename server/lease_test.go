package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// scan sends the opening of an iterator and receives its keys up to most, or all
// if that is 0. It acknowledges messages, and returns whether there was a notice
// of another state, and how the iterator ended if it did.
func (p *peer) scan(o wire.IteratorOpen, most int) (keys []string, renewed bool, err error) {
	p.t.Helper()
	o.Keys, o.Credit = true, 1
	p.send(wire.AppendIterator(nil, p.d, &o))
	for {
		r := p.receive()
		switch {
		case r.ID != o.ID: // what an earlier iterator had left
			continue
		case r.Tag == wire.TagRenewed:
			if renewed || len(keys) > 0 {
				p.t.Error("the notice of another state does not come first, or comes twice")
			}
			renewed = true
			continue
		case r.End:
			return keys, renewed, r.Err
		}
		for key, rest, ok := wire.NextDatum(r.Data); ok; key, rest, ok = wire.NextDatum(rest) {
			keys = append(keys, string(key))
		}
		if most > 0 && len(keys) >= most {
			return keys[:most], renewed, nil
		}
		if p.d == wire.Multileveldown {
			p.send(wire.AppendIteratorCredit(nil, o.ID, 1))
		} else {
			p.send(wire.AppendIteratorAck(nil, o.ID, o.Seq, uint64(len(keys))))
		}
	}
}

// fill has the store hold as many keys, each with a name of its generation.
func fill(t testing.TB, store mld.Store, generation string, n int) {
	t.Helper()
	if err := store.Clear(t.Context(), mld.Range{LT: []byte("\xff")}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := store.Put(t.Context(), fmt.Appendf(nil, "%03d%s", i, generation), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func wantKeys(t testing.TB, keys []string, generation string, indices ...int) {
	t.Helper()
	var want []string
	for _, i := range indices {
		want = append(want, fmt.Sprintf("%03d%s", i, generation))
	}
	if strings.Join(keys, " ") != strings.Join(want, " ") {
		t.Errorf("keys %q, want %q", keys, want)
	}
}

// leaseTest runs f with a server over a store with ten keys.
func leaseTest(t *testing.T, o server.Options, f func(t *testing.T, store *memstore.Store, srv *server.Server)) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		fill(t, store, "old", 10)
		srv := server.New(store, &o)
		f(t, store, srv)
		srv.Close()
		srv.Close()
	})
}

// TestResume has iterators go on in the same state on another connection,
// wherever the client is.
func TestResume(t *testing.T) {
	key := func(s string) []byte { return []byte(s) }
	for _, d := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		for _, c := range []struct {
			name string
			rg   mld.Range // of the first opening, of which most keys are read
			most int
			next mld.Range // of the second one
			seek []byte
			left int // limit of the second one
			want []int
		}{
			{"forward", mld.Range{}, 3, mld.Range{GT: key("002old")}, nil, -1, []int{3, 4, 5, 6, 7, 8, 9}},
			{"forward to a bound", mld.Range{LT: key("006")}, 3, mld.Range{GT: key("002old"), LT: key("006")}, nil, -1, []int{3, 4, 5}},
			{"forward with a limit", mld.Range{}, 3, mld.Range{GT: key("002old")}, nil, 2, []int{3, 4}},
			{"a limit used up", mld.Range{}, 3, mld.Range{GT: key("002old")}, nil, 0, nil},
			{"reverse", mld.Range{Reverse: true}, 3, mld.Range{LT: key("007old"), Reverse: true}, nil, -1, []int{6, 5, 4, 3, 2, 1, 0}},
			{"reverse to a bound", mld.Range{GTE: key("004"), Reverse: true}, 3, mld.Range{GTE: key("004"), LT: key("007old"), Reverse: true}, nil, -1, []int{6, 5, 4}},
			{"from the start", mld.Range{}, 3, mld.Range{}, nil, 2, []int{0, 1}},
			{"from a bound", mld.Range{GT: key("001old")}, 3, mld.Range{GT: key("001old")}, nil, 2, []int{2, 3}},
			{"from a bound in reverse", mld.Range{LT: key("005old"), Reverse: true}, 3, mld.Range{LT: key("005old"), Reverse: true}, nil, 2, []int{4, 3}},
			{"from an inclusive bound in reverse", mld.Range{LTE: key("005old"), Reverse: true}, 3, mld.Range{LTE: key("005old"), Reverse: true}, nil, 2, []int{5, 4}},
			{"from the end in reverse", mld.Range{Reverse: true}, 3, mld.Range{Reverse: true}, nil, 2, []int{9, 8}},
			{"back of where it was opened", mld.Range{GTE: key("005")}, 3, mld.Range{GTE: key("001")}, nil, 2, []int{1, 2}},
			{"back in reverse", mld.Range{LTE: key("005old"), Reverse: true}, 3, mld.Range{LTE: key("008old"), Reverse: true}, nil, 2, []int{8, 7}},
			{"ended", mld.Range{}, 0, mld.Range{GT: key("009old")}, nil, -1, nil},
			{"with a seek", mld.Range{}, 3, mld.Range{}, key("005"), 2, []int{5, 6}},
			{"with a seek in reverse", mld.Range{Reverse: true}, 3, mld.Range{Reverse: true}, key("005"), 2, []int{4, 3}},
			{"with a seek before the range", mld.Range{GTE: key("004")}, 3, mld.Range{GTE: key("004")}, key("001"), 2, nil},
		} {
			if c.seek != nil && d == wire.Multileveldown || c.name == "ended" && d == wire.Multileveldown {
				continue // which has no seeks, so nothing is kept of what has ended
			}
			t.Run(d.String()+"/"+c.name, func(t *testing.T) {
				leaseTest(t, server.Options{}, func(t *testing.T, store *memstore.Store, srv *server.Server) {
					p := newPeer(t, connect(t, srv), d)
					if w := p.helloAs(1, false); w.Features&wire.FeatureLeases == 0 || w.Instance == 0 {
						t.Errorf("welcome: %+v", w)
					}
					if keys, renewed, err := p.scan(wire.IteratorOpen{ID: 1, Range: c.rg, Limit: -1, Lease: 7}, c.most); c.most > 0 && len(keys) != c.most || renewed || err != nil {
						t.Fatalf("%d keys, renewed %v, %v", len(keys), renewed, err)
					}
					p.rw.Close()
					synctest.Wait()
					fill(t, store, "new", 20)
					p = newPeer(t, connect(t, srv), d)
					p.helloAs(1, false)
					keys, renewed, err := p.scan(wire.IteratorOpen{ID: 9, Range: c.next, Limit: c.left, Seek: c.seek, Lease: 7, Resume: true, Strict: true}, 0)
					if renewed || err != nil {
						t.Fatalf("renewed %v, %v", renewed, err)
					}
					wantKeys(t, keys, "old", c.want...)
				})
			})
		}
	}
}

// TestResumeUnread has an iterator of which nothing was read yet, and which the
// server had only begun, go on.
func TestResumeUnread(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		leaseTest(t, server.Options{}, func(t *testing.T, store *memstore.Store, srv *server.Server) {
			p := newPeer(t, connect(t, srv), wire.Multileveldown)
			p.helloAs(1, false)
			open := wire.IteratorOpen{ID: 1, Keys: true, Range: mld.Range{Reverse: reverse}, Limit: -1, Credit: 1, Lease: 7}
			p.send(wire.AppendIterator(nil, p.d, &open))
			synctest.Wait()
			for range 3 {
				p.rw.Close()
				synctest.Wait()
				fill(t, store, "new", 20)
				p = newPeer(t, connect(t, srv), wire.Multileveldown)
				p.helloAs(1, false)
				open.Resume, open.Strict = true, true
				keys, renewed, err := p.scan(open, 2)
				if renewed || err != nil {
					t.Fatalf("renewed %v, %v", renewed, err)
				}
				if reverse {
					wantKeys(t, keys, "old", 9, 8)
				} else {
					wantKeys(t, keys, "old", 0, 1)
				}
			}
		})
	}
}

// TestRenewed has an iterator that is not kept go on in a later state, and say so
// first, or fail if the client wants no other one.
func TestRenewed(t *testing.T) {
	lose := map[string]func(t *testing.T, o *server.Options) (wait time.Duration){
		"too late": func(*testing.T, *server.Options) time.Duration { return 62 * time.Second },
		"too old": func(_ *testing.T, o *server.Options) time.Duration {
			o.MaxSnapshotAge = 10 * time.Second
			return 12 * time.Second
		},
		"not kept":         func(_ *testing.T, o *server.Options) time.Duration { o.SnapshotLease = -1; return 0 },
		"one too many":     func(_ *testing.T, o *server.Options) time.Duration { o.Limits.Leases = 1; return 0 },
		"one's too many":   func(_ *testing.T, o *server.Options) time.Duration { o.Limits.ClientLeases = 1; return 0 },
		"a client's leave": func(*testing.T, *server.Options) time.Duration { return 0 },
	}
	for name, how := range lose {
		t.Run(name, func(t *testing.T) {
			var o server.Options
			wait := how(t, &o)
			leaseTest(t, o, func(t *testing.T, store *memstore.Store, srv *server.Server) {
				p := dial(t, srv)
				p.helloAs(1, false)
				for lease := range uint64(2) {
					p.scan(wire.IteratorOpen{ID: uint32(lease), Limit: -1, Lease: lease + 1}, 3)
				}
				if name == "a client's leave" {
					p.send(wire.AppendSessionEnd(nil, 50))
					for p.receive().ID != 50 { // what the iterators had left
					}
				}
				p.rw.Close()
				time.Sleep(wait)
				synctest.Wait()
				fill(t, store, "new", 20)
				p = dial(t, srv)
				p.helloAs(1, false)
				lost, kept := 0, 0
				for lease := range uint64(2) {
					open := wire.IteratorOpen{ID: uint32(lease + 10), Range: mld.Range{GT: []byte("002old")}, Limit: 1, Lease: lease + 1, Resume: true, Strict: true}
					keys, renewed, err := p.scan(open, 0)
					if err == nil && !renewed {
						wantKeys(t, keys, "old", 3)
						kept++
						continue
					}
					if !errors.Is(err, mld.ErrSnapshotLost) || renewed {
						t.Errorf("strict: renewed %v, %v", renewed, err)
					}
					open.ID, open.Strict = open.ID+10, false
					keys, renewed, err = p.scan(open, 0)
					if err != nil || !renewed {
						t.Errorf("not strict: renewed %v, %v", renewed, err)
					}
					wantKeys(t, keys, "new", 3)
					lost++
				}
				if want := map[bool]int{true: 1, false: 2}[strings.Contains(name, "many")]; lost != want || kept != 2-want {
					t.Errorf("%d lost and %d kept, want %d lost", lost, kept, want)
				}
				if n := metric(t, srv, "server_iterators_renewed_total"); n != float64(lost) {
					t.Errorf("%v counted as renewed", n)
				}
			})
		})
	}
}

// TestLeasedSnapshots has a snapshot found again, with the iterators that read
// it, and closed by the client or when it is over.
func TestLeasedSnapshots(t *testing.T) {
	leaseTest(t, server.Options{}, func(t *testing.T, store *memstore.Store, srv *server.Server) {
		p := dial(t, srv)
		p.helloAs(1, false)
		p.send(wire.AppendSnapshotOpen(nil, 1, 5))
		p.expect(1, nil)
		p.scan(wire.IteratorOpen{ID: 2, Limit: -1, Lease: 1, Snapshot: 5}, 3)
		p.scan(wire.IteratorOpen{ID: 3, Limit: -1, Lease: 2}, 3)
		p.rw.Close()
		synctest.Wait()
		fill(t, store, "new", 20)
		time.Sleep(50 * time.Second)
		if n, age := metric(t, srv, "server_leases"), metric(t, srv, "server_lease_oldest_seconds"); n != 3 || age != 50 {
			t.Errorf("%v leases, the oldest of %v seconds", n, age)
		}
		p = dial(t, srv)
		p.helloAs(1, false)
		p.send(wire.AppendSnapshotOpen(nil, 1, 5)) // whose answer may have been lost
		p.expect(1, nil)
		p.send(wire.AppendGet(nil, 2, []byte("001old"), 5))
		p.expect(2, nil)
		// While the client is there, what it has not asked for waits.
		time.Sleep(10 * time.Minute)
		keys, renewed, err := p.scan(wire.IteratorOpen{ID: 4, Range: mld.Range{GT: []byte("002old")}, Limit: 1, Lease: 1, Resume: true, Snapshot: 5}, 0)
		if renewed || err != nil {
			t.Fatalf("renewed %v, %v", renewed, err)
		}
		wantKeys(t, keys, "old", 3)
		// The snapshot is the same state for an iterator that is not kept, too.
		keys, renewed, err = p.scan(wire.IteratorOpen{ID: 5, Limit: 1, Lease: 77, Resume: true, Strict: true, Snapshot: 5}, 0)
		if renewed || err != nil {
			t.Fatalf("renewed %v, %v", renewed, err)
		}
		wantKeys(t, keys, "old", 0)
		p.rw.Close()
		synctest.Wait()
		p = dial(t, srv)
		p.helloAs(1, false)
		p.send(wire.AppendSnapshotClose(nil, 6, 5))
		p.expect(6, nil)
		p.send(wire.AppendGet(nil, 7, []byte("001old"), 5))
		p.expect(7, mld.ErrSnapshotLost)
		p.rw.Close()
		time.Sleep(62 * time.Second)
		if n := metric(t, srv, "server_leases"); n != 0 {
			t.Errorf("%v leases after all", n)
		}
	})
}

// TestLeasesEnd has a server that is closed, or a client that does not come back,
// leave nothing: goroutines would be found at the end of the tests.
func TestLeasesEnd(t *testing.T) {
	leaseTest(t, server.Options{}, func(t *testing.T, store *memstore.Store, srv *server.Server) {
		for id := range byte(3) {
			p := dial(t, srv)
			p.helloAs(id+1, false)
			p.scan(wire.IteratorOpen{ID: 1, Limit: -1, Lease: 1}, 3)
			p.rw.Close()
		}
		synctest.Wait()
		if n := metric(t, srv, "server_leases"); n != 3 {
			t.Errorf("%v leases", n)
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if n := metric(t, srv, "server_leases"); n != 0 {
			t.Errorf("%v leases after the shutdown", n)
		}
	})
}
