package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/faultconn"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/namespace"
	"github.com/multileveldown/mld/wire"
)

// A journal is a store that keeps the keys of all that was written to it, in
// order, without those of the system.
type journal struct {
	mld.Store
	mu      sync.Mutex
	applied []string
	after   func(keys []string) // is called after a batch was applied, if set
}

func (j *journal) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	var keys []string
	for _, op := range b.Ops() {
		if !mld.IsReserved(op.Key) {
			keys = append(keys, op.Kind.String()+" "+string(op.Key))
		}
	}
	err := j.Store.Apply(ctx, b, o)
	j.mu.Lock()
	after := j.after
	if err == nil {
		j.applied = append(j.applied, keys...)
	}
	j.mu.Unlock()
	if after != nil {
		after(keys)
	}
	return err
}

func (j *journal) keys() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.applied)
}

// A sessionHost is a server with sessions over a store in memory, to be used
// within a bubble, which can be started anew.
type sessionHost struct {
	t       *testing.T
	journal *journal
	lease   time.Duration // of sessions
	prefix  string        // below which keys are served
	served  chan struct{}

	mu       sync.Mutex
	registry *session.Registry
	server   *server.Server
	l        *memnet.Listener
	away     bool // dials are refused
	conns    int
}

func newSessionHost(t *testing.T, lease time.Duration) *sessionHost {
	return newSessionHostBelow(t, "", lease)
}

func newSessionHostBelow(t *testing.T, prefix string, lease time.Duration) *sessionHost {
	h := &sessionHost{t: t, journal: &journal{Store: memstore.New()}, lease: lease, prefix: prefix}
	h.start()
	return h
}

func (h *sessionHost) start() {
	h.t.Helper()
	registry, err := session.Open(context.Background(), h.journal, &session.Options{Lease: h.lease, Prefix: []byte(h.prefix)})
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.registry, h.l, h.served = registry, memnet.Listen("host"), make(chan struct{})
	h.server = server.New(namespace.NewServed(h.journal, []byte(h.prefix)), &server.Options{Sessions: registry})
	go func(s *server.Server, l *memnet.Listener, served chan struct{}) {
		defer close(served)
		s.Serve(l)
	}(h.server, h.l, h.served)
}

func (h *sessionHost) stop() {
	h.server.Close()
	<-h.served
	h.registry.Close()
}

func (h *sessionHost) restart() { h.stop(); h.start() }

func (h *sessionHost) close() {
	h.stop()
	h.journal.Close()
}

func (h *sessionHost) setAway(away bool) {
	h.mu.Lock()
	h.away = away
	h.mu.Unlock()
}

// dial connects to the server that runs now.
func (h *sessionHost) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	h.mu.Lock()
	l, away := h.l, h.away
	h.conns++
	h.mu.Unlock()
	if away {
		return nil, errors.New("the test refuses")
	}
	return l.Dial(ctx)
}

// A link is how one client dials, so that its connection can be cut.
type link struct {
	h    *sessionHost
	mu   sync.Mutex
	conn io.ReadWriteCloser
}

func (n *link) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	conn, err := n.h.dial(ctx)
	if err == nil {
		n.mu.Lock()
		n.conn = conn
		n.mu.Unlock()
	}
	return conn, err
}

func (n *link) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conn.(*memnet.Conn).Reset()
}

// cutAfter cuts a link once, between the doing of a write and its answer, keeps
// the client from connecting again and returns a channel that says so.
func (h *sessionHost) cutAfter(n *link, key string) chan struct{} {
	done := make(chan struct{})
	h.journal.mu.Lock()
	defer h.journal.mu.Unlock()
	h.journal.after = func(keys []string) {
		if !slices.Contains(keys, key) {
			return
		}
		h.journal.mu.Lock()
		h.journal.after = nil
		h.journal.mu.Unlock()
		h.setAway(true)
		n.cut()
		close(done)
	}
	return done
}

func mustPut(t *testing.T, s mld.Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), []byte(key), []byte(value), nil); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s mld.Reader, key, want string) {
	t.Helper()
	if got, err := s.Get(t.Context(), []byte(key)); err != nil || string(got) != want {
		t.Errorf("Get %q = %q, %v; want %q", key, got, err, want)
	}
}

// TestLostAck loses the acknowledgement of a write that another client then
// overwrites: sent again, it must not overwrite that.
func TestLostAck(t *testing.T) {
	for _, restart := range []bool{false, true} {
		for dialect, prefix := range map[wire.Dialect]string{wire.ManyLevel: "", wire.Multileveldown: "!part!"} {
			t.Run(fmt.Sprintf("%v, restart %t", dialect, restart), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newSessionHostBelow(t, prefix, 0)
					defer h.close()
					na, nb := &link{h: h}, &link{h: h}
					a := client.New(na.dial, &client.Options{Dialect: dialect})
					defer a.Close()
					b := client.New(nb.dial, &client.Options{Dialect: dialect})
					defer b.Close()
					mustPut(t, a, "before", "")
					mustPut(t, b, "before", "")
					cut := h.cutAfter(na, "put "+prefix+"k")
					done := make(chan error, 1)
					go func() { done <- a.Put(t.Context(), []byte("k"), []byte("1"), nil) }()
					<-cut
					mustPut(t, b, "k", "2")
					if restart {
						h.restart()
					}
					h.setAway(false)
					if err := <-done; err != nil {
						t.Error(err)
					}
					wantValue(t, b, "k", "2")
				})
			})
		}
	}
}

// TestAnotherPrefix has a server come back with another part of the same store: it
// answers for none of the writes of the first one, and does none of them.
func TestAnotherPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSessionHostBelow(t, "a", 0)
		defer h.close()
		n := &link{h: h}
		c := client.New(n.dial, nil)
		defer c.Close()
		mustPut(t, c, "before", "")
		cut := h.cutAfter(n, "put ak")
		done := make(chan error, 1)
		go func() { done <- c.Put(t.Context(), []byte("k"), []byte("1"), nil) }()
		<-cut
		h.prefix = "b"
		h.restart()
		h.setAway(false)
		if err := <-done; !errors.Is(err, mld.ErrOutcomeUnknown) || !errors.Is(err, mld.ErrSessionLost) {
			t.Errorf("the write whose answer was lost: %v", err)
		}
		mustPut(t, c, "k2", "2")
		var keys []string
		for e, err := range mld.All(t.Context(), h.journal.Store, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if !mld.IsReserved(e.Key) {
				keys = append(keys, string(e.Key))
			}
		}
		if want := []string{"abefore", "ak", "bk2"}; !slices.Equal(keys, want) {
			t.Errorf("the store has %q, want %q", keys, want)
		}
		if entries, err := mld.Collect(t.Context(), c, nil); err != nil || len(entries) != 1 {
			t.Errorf("below the prefix are %q, %v", entries, err)
		}
	})
}

// TestClearOnce loses the acknowledgement of a clear with a limit.
func TestClearOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSessionHost(t, 0)
		defer h.close()
		n := &link{h: h}
		c := client.New(n.dial, nil)
		defer c.Close()
		for i := range 9 {
			mustPut(t, c, fmt.Sprint("k", i), "")
		}
		done := make(chan error, 1)
		h.journal.mu.Lock()
		cut := make(chan struct{})
		h.journal.after = func([]string) {
			h.journal.mu.Lock()
			h.journal.after = nil
			h.journal.mu.Unlock()
			n.cut()
			close(cut)
		}
		h.journal.mu.Unlock()
		go func() { done <- c.Clear(t.Context(), mld.Range{Limit: 3}, nil) }()
		<-cut
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		left, err := mld.Collect(t.Context(), c, nil)
		if err != nil || len(left) != 6 {
			t.Errorf("%d entries are left, %v; want 6", len(left), err)
		}
	})
}

// TestExactlyOnceAnywhere cuts two connections at every byte, in either
// direction, and looks that the store was written to as if they had not been cut.
func TestExactlyOnceAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(in, out faultconn.Plan) (read, wrote int) {
			h := newSessionHost(t, 0)
			defer h.close()
			conns := 0
			var current *faultconn.Conn
			c := client.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
				stream, err := h.dial(ctx)
				if err != nil {
					return nil, err
				}
				i, o := in, out
				if conns++; conns > 2 {
					i, o = faultconn.Plan{}, faultconn.Plan{}
				}
				current = faultconn.New(stream, i, o)
				return current, nil
			}, nil)
			var want []string
			for i := range 4 {
				mustPut(t, c, fmt.Sprint("k", i), "value")
				want = append(want, fmt.Sprint("put k", i))
			}
			var b mld.Batch
			b.Put([]byte("b"), []byte("1"))
			b.Delete([]byte("k0"))
			if err := c.Apply(t.Context(), &b, nil); err != nil {
				t.Fatal(err)
			}
			if err := c.Delete(t.Context(), []byte("k1"), nil); err != nil {
				t.Fatal(err)
			}
			want = append(want, "put b", "del k0", "del k1")
			var wg sync.WaitGroup
			for i := range 8 { // under way together
				wg.Go(func() { mustPut(t, c, fmt.Sprint("m", i), "value") })
			}
			wg.Wait()
			got := h.journal.keys()
			if len(got) != len(want)+8 || !slices.Equal(got[:len(want)], want) {
				t.Fatalf("cut: in %+v, out %+v: applied %q", in, out, got)
			}
			slices.Sort(got[len(want):])
			for i := range 8 {
				if m := fmt.Sprint("put m", i); got[len(want)+i] != m {
					t.Fatalf("cut: in %+v, out %+v: applied %q", in, out, got)
				}
			}
			read, wrote = current.Transferred()
			c.Close()
			return read, wrote
		}
		read, wrote := run(faultconn.Plan{}, faultconn.Plan{})
		for at := range read {
			run(faultconn.Plan{Cut: true, Kind: faultconn.Kind(at % 3), After: at}, faultconn.Plan{})
		}
		for at := range wrote {
			run(faultconn.Plan{}, faultconn.Plan{Cut: true, Kind: faultconn.Kind(at % 3), After: at})
		}
	})
}

// TestAbandonedSettles ends the context of a write that was done, under a cut:
// the number is settled behind it, and the next write is not held up.
func TestAbandonedSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSessionHost(t, 0)
		defer h.close()
		n := &link{h: h}
		c := client.New(n.dial, nil)
		defer c.Close()
		mustPut(t, c, "before", "")
		cut := h.cutAfter(n, "put k")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Put(ctx, []byte("k"), []byte("1"), nil) }()
		<-cut
		cancel()
		if err := <-done; !errors.Is(err, mld.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
			t.Errorf("abandoned: %v", err)
		}
		if c.IsFlushed() {
			t.Error("settled without a connection")
		}
		h.setAway(false)
		mustPut(t, c, "after", "")
		if err := c.WaitFlushed(t.Context()); err != nil {
			t.Error(err)
		}
		if got, want := h.journal.keys(), []string{"put before", "put k", "put after"}; !slices.Equal(got, want) {
			t.Errorf("applied %q; want %q", got, want)
		}
	})
}

// TestLease lets a session expire under a client that is away, with a write that
// was sent, one that was not, and none.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSessionHost(t, time.Minute)
		defer h.close()
		n, idle := &link{h: h}, &link{h: h}
		c, other := client.New(n.dial, nil), client.New(idle.dial, nil)
		defer c.Close()
		defer other.Close()
		mustPut(t, c, "before", "")
		mustPut(t, other, "before", "")
		cut := h.cutAfter(n, "put sent")
		sent, fresh := make(chan error, 1), make(chan error, 1)
		go func() { sent <- c.Put(t.Context(), []byte("sent"), nil, nil) }()
		<-cut
		idle.cut()
		synctest.Wait() // until the client knows, or its write would count as sent
		go func() { fresh <- c.Put(t.Context(), []byte("fresh"), nil, nil) }()
		time.Sleep(90 * time.Second)
		h.setAway(false)
		if err := <-sent; !errors.Is(err, mld.ErrOutcomeUnknown) || !errors.Is(err, mld.ErrSessionLost) {
			t.Errorf("the write that was sent: %v", err)
		}
		if err := <-fresh; err != nil {
			t.Errorf("the write that was not sent: %v", err)
		}
		mustPut(t, other, "after", "")
		want := []string{"put before", "put before", "put sent", "put fresh", "put after"}
		if got := h.journal.keys(); !slices.Equal(got, want) {
			t.Errorf("applied %q; want %q", got, want)
		}
	})
}

// TestSessionEndsWithClient closes a client, whose session need not be kept.
func TestSessionEndsWithClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSessionHost(t, 0)
		defer h.close()
		c := client.New(h.dial, &client.Options{ExactlyOnce: client.ExactlyOnceRequire})
		mustPut(t, c, "k", "")
		if n := h.registry.Len(); n != 1 {
			t.Errorf("%d sessions", n)
		}
		c.Close()
		if n := h.registry.Len(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// TestRequireOfServer requires sessions of a server that has none, and writes to
// it all the same without.
func TestRequireOfServer(t *testing.T) {
	h := newHost(t, nil, false)
	c := h.connect(t, &client.Options{ExactlyOnce: client.ExactlyOnceRequire})
	err := c.Put(t.Context(), []byte("k"), nil, nil)
	if !errors.Is(err, mld.ErrUnsupported) || mld.OutcomeOf(err) != mld.NotApplied {
		t.Errorf("Put: %v", err)
	}
	if _, err := c.Get(t.Context(), []byte("k")); err != mld.ErrNotFound {
		t.Errorf("Get: %v", err)
	}
	mustPut(t, h.connect(t, nil), "k", "")
}

// TestScanOfOneState walks many entries over a connection that is cut again and
// again, while every entry is changed: the walk is that of the state at its
// start, byte for byte.
func TestScanOfOneState(t *testing.T) {
	const entries = 1500
	for _, dialect := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		for _, o := range []mld.IterOptions{
			{},
			{Range: mld.Range{Reverse: true}},
			{Range: mld.Range{GTE: []byte("k0010"), LT: []byte("k1400"), Limit: 1000}},
			{Range: mld.Range{GT: []byte("k0010"), LTE: []byte("k1400"), Reverse: true}, ValuesOnly: true},
			{KeysOnly: true},
		} {
			o.Strict = true
			t.Run(fmt.Sprintf("%v %+v", dialect, o), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newSessionHost(t, 0)
					defer h.close()
					var b mld.Batch
					for i := range entries {
						b.Put(fmt.Appendf(nil, "k%04d", i), fmt.Appendf(nil, "value %d", i))
					}
					if err := h.journal.Store.Apply(t.Context(), &b, nil); err != nil {
						t.Fatal(err)
					}
					plain := o
					plain.Strict = false
					var want []mld.Entry
					for e, err := range mld.All(t.Context(), h.journal.Store, &plain) {
						if err != nil {
							t.Fatal(err)
						}
						if !mld.IsReserved(e.Key) {
							want = append(want, mld.Entry{Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)})
						}
					}
					base := 5 << 10
					if dialect == wire.Multileveldown {
						base = 600
					}
					conns := 0
					c := client.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
						stream, err := h.dial(ctx)
						if err != nil {
							return nil, err
						}
						conns++
						return faultconn.New(stream, faultconn.Plan{Cut: true, Kind: faultconn.Kind(conns % 2), After: base + conns*37%997}, faultconn.Plan{}), nil
					}, &client.Options{Dialect: dialect})
					defer c.Close()
					it, err := c.NewIterator(t.Context(), &o)
					if err != nil {
						t.Fatal(err)
					}
					defer it.Close()
					i := 0
					for ; it.Next(); i++ {
						if i%50 == 0 { // change everything
							b.Reset()
							for j := range entries {
								if (i/50+j)%3 == 0 {
									b.Delete(fmt.Appendf(nil, "k%04d", j))
								} else {
									b.Put(fmt.Appendf(nil, "k%04d", j), fmt.Appendf(nil, "changed %d", i))
									b.Put(fmt.Appendf(nil, "k%04dnew", j), nil)
								}
							}
							if err := h.journal.Store.Apply(t.Context(), &b, nil); err != nil {
								t.Fatal(err)
							}
						}
						if i >= len(want) || string(it.Key()) != string(want[i].Key) || string(it.Value()) != string(want[i].Value) {
							t.Fatalf("entry %d is %q: %q", i, it.Key(), it.Value())
						}
					}
					if it.Err() != nil || i != len(want) {
						t.Errorf("%d entries, %v; want %d", i, it.Err(), len(want))
					}
					if it.(*client.Iterator).Renewed() || conns < 3 {
						t.Errorf("renewed %t, %d connections", it.(*client.Iterator).Renewed(), conns)
					}
				})
			})
		}
	}
}

// TestStateLost cuts the connection of iterators and snapshots, which go on or
// not, after what happened meanwhile.
func TestStateLost(t *testing.T) {
	for _, test := range []struct {
		name string
		away func(h *sessionHost)
		lost bool
	}{
		{"cut", func(*sessionHost) {}, false},
		{"cut for long", func(h *sessionHost) {
			h.setAway(true)
			time.Sleep(2 * time.Minute)
			h.setAway(false)
		}, true},
		{"restart", (*sessionHost).restart, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newSessionHost(t, 0)
				defer h.close()
				n := &link{h: h}
				c := client.New(n.dial, nil)
				defer c.Close()
				const entries = 2000 // more than is sent ahead
				for i := range entries {
					mustPut(t, h.journal.Store, fmt.Sprintf("k%04d", i), string(make([]byte, 100)))
				}
				open := func(s mld.Reader, strict bool) mld.Iterator {
					t.Helper()
					it, err := s.NewIterator(t.Context(), &mld.IterOptions{Strict: strict})
					if err != nil || !it.Next() {
						t.Fatal(err)
					}
					return it
				}
				snap, err := c.NewSnapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				loose, strict, ofSnapshot := open(c, false), open(c, true), open(snap, false)
				defer loose.Close()
				defer strict.Close()
				defer ofSnapshot.Close()
				mustPut(t, c, "k1999", "changed")
				n.cut()
				synctest.Wait()
				test.away(h)

				walk := func(it mld.Iterator) (last string, err error) {
					for it.Next() {
						last = string(it.Key()) + string(it.Value()[:1])
					}
					return last, it.Err()
				}
				old, changed := "k1999\x00", "k1999c"
				if last, err := walk(loose); err != nil || last != map[bool]string{false: old, true: changed}[test.lost] || loose.(*client.Iterator).Renewed() != test.lost {
					t.Errorf("iterator: %q, %v, renewed %t", last, err, loose.(*client.Iterator).Renewed())
				}
				for name, it := range map[string]mld.Iterator{"strict": strict, "of a snapshot": ofSnapshot} {
					last, err := walk(it)
					if test.lost && !errors.Is(err, mld.ErrSnapshotLost) || !test.lost && (err != nil || last != old) {
						t.Errorf("%s iterator: %q, %v", name, last, err)
					}
					if it.(*client.Iterator).Renewed() {
						t.Errorf("%s iterator: renewed", name)
					}
				}
				values, err := snap.GetMany(t.Context(), [][]byte{[]byte("k1999")})
				if test.lost && !errors.Is(err, mld.ErrSnapshotLost) || !test.lost && (err != nil || values[0][0] != 0) {
					t.Errorf("snapshot: %q, %v", values, err)
				}
				if err := snap.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestManyClients has clients put private counters through links that are cut
// at random places with a server that is started anew, and looks that each
// write was applied once, in order.
func TestManyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSessionHost(t, 0)
		defer h.close()
		const clients, each = 8, 100
		var wg sync.WaitGroup
		var dials atomic.Int64
		for i := range clients {
			wg.Go(func() {
				c := client.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
					stream, err := h.dial(ctx)
					if err != nil {
						return nil, err
					}
					n := int(dials.Add(1))
					plan := faultconn.Plan{Cut: true, Kind: faultconn.Kind(n % 2), After: 60 + n*131%700}
					if n%3 == 0 {
						return faultconn.New(stream, faultconn.Plan{}, plan), nil
					}
					return faultconn.New(stream, plan, faultconn.Plan{}), nil
				}, &client.Options{BackoffMax: 20 * time.Millisecond})
				for j := range each {
					mustPut(t, c, fmt.Sprintf("%d-%03d", i, j), "v")
				}
				c.Close()
			})
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for range 10 {
				time.Sleep(20 * time.Millisecond)
				h.restart()
			}
		}()
		wg.Wait()
		<-stopped
		got := h.journal.keys()
		last := map[byte]string{}
		for _, k := range got {
			if last[k[4]] >= k {
				t.Errorf("%q came after %q", k, last[k[4]])
			}
			last[k[4]] = k
		}
		if len(got) != clients*each || dials.Load() < 2*clients {
			t.Errorf("%d writes were applied over %d connections; want %d", len(got), dials.Load(), clients*each)
		}
	})
}
