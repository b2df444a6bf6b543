package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/faultconn"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// A faultyHost is a server over a store in memory, to be used within a bubble,
// whose connections fail as plan says: it is given the number of the connection
// and returns what happens to what the client reads and writes.
type faultyHost struct {
	store   mld.Store
	server  *server.Server
	l       *memnet.Listener
	served  chan struct{}
	plan    func(n int) (in, out faultconn.Plan)
	conns   int
	current *faultconn.Conn
}

func newFaultyHost(plan func(n int) (in, out faultconn.Plan)) *faultyHost {
	h := &faultyHost{store: memstore.New(), l: memnet.Listen("host"), served: make(chan struct{}), plan: plan}
	h.server = server.New(h.store, nil)
	go func() {
		defer close(h.served)
		h.server.Serve(h.l)
	}()
	return h
}

func (h *faultyHost) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	stream, err := h.l.Dial(ctx)
	if err != nil {
		return nil, err
	}
	in, out := h.plan(h.conns)
	h.conns++
	h.current = faultconn.New(stream, in, out)
	return h.current, nil
}

func (h *faultyHost) close() {
	h.server.Close()
	<-h.served
	h.store.Close()
}

// exercise does a bit of everything and fails the test if any answer is wrong.
// It writes nothing that would differ when it is done twice.
func exercise(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	check := func(what string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	const entries = 7
	var want []string
	for i := range entries {
		key := fmt.Sprintf("k%d", i)
		check("Put", c.Put(ctx, []byte(key), []byte("value of "+key), nil))
		want = append(want, key)
	}
	value, err := c.Get(ctx, []byte("k3"))
	if err != nil || string(value) != "value of k3" {
		t.Fatalf("Get = %q, %v", value, err)
	}
	if _, err := c.Get(ctx, []byte("missing")); err != mld.ErrNotFound {
		t.Fatalf("Get of a missing key: %v", err)
	}
	values, err := c.GetMany(ctx, [][]byte{[]byte("k1"), []byte("x"), []byte("k2")})
	if err != nil || len(values) != 3 || string(values[0]) != "value of k1" || values[1] != nil || string(values[2]) != "value of k2" {
		t.Fatalf("GetMany = %q, %v", values, err)
	}
	for _, o := range []mld.IterOptions{
		{},
		{Range: mld.Range{Reverse: true}},
		{Range: mld.Range{GTE: []byte("k1"), LT: []byte("k6"), Limit: 3}, KeysOnly: true},
		{Range: mld.Range{GT: []byte("k0"), LTE: []byte("k5"), Limit: 4, Reverse: true}, ValuesOnly: true},
	} {
		walk(t, c, &o, want)
	}
	seek(t, c)
	var b mld.Batch
	b.Put([]byte("b"), []byte("1"))
	b.Delete([]byte("k0"))
	check("Apply", c.Apply(ctx, &b, nil))
	check("Delete", c.Delete(ctx, []byte("b"), nil))
	if got, err := mld.Collect(ctx, c, nil); err != nil || len(got) != entries-1 {
		t.Fatalf("Collect = %d entries, %v", len(got), err)
	}
	check("Clear", c.Clear(ctx, mld.Range{LT: []byte("k5")}, nil))
	if got, err := mld.Collect(ctx, c, nil); err != nil || len(got) != 2 {
		t.Fatalf("Collect = %d entries, %v", len(got), err)
	}
}

// walk compares a walk over a range with keys, of which all have a value.
func walk(t *testing.T, c *client.Client, o *mld.IterOptions, keys []string) {
	t.Helper()
	var want, got []string
	for _, k := range keys {
		if o.Contains([]byte(k)) {
			want = append(want, k)
		}
	}
	if o.Reverse {
		slices.Reverse(want)
	}
	if o.Limit > 0 && len(want) > o.Limit {
		want = want[:o.Limit]
	}
	for e, err := range mld.All(t.Context(), c, o) {
		if err != nil {
			t.Fatal(err)
		}
		key := string(e.Key)
		if o.ValuesOnly {
			key = string(bytes.TrimPrefix(e.Value, []byte("value of ")))
		} else if !o.KeysOnly && string(e.Value) != "value of "+key {
			t.Fatalf("the value of %q is %q", key, e.Value)
		}
		got = append(got, key)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("walked %q; want %q", got, want)
	}
}

// seek seeks back and forth within a limit.
func seek(t *testing.T, c *client.Client) {
	t.Helper()
	it, err := c.NewIterator(t.Context(), &mld.IterOptions{Range: mld.Range{Limit: 6, LTE: []byte("k5")}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	next := func(want ...string) {
		t.Helper()
		for _, k := range want {
			if !it.Next() || string(it.Key()) != k || string(it.Value()) != "value of "+k {
				t.Fatalf("Next came to %q, %v; want %q", it.Key(), it.Err(), k)
			}
		}
	}
	next("k0", "k1")
	it.Seek([]byte("k4"))
	next("k4", "k5")
	it.Seek([]byte("k6")) // outside
	if it.Next() {
		t.Fatalf("a seek outside of the range came to %q", it.Key())
	}
	it.Seek([]byte("k2"))
	next("k2", "k3")
	if it.Next() || it.Err() != nil {
		t.Fatalf("past the limit: %q, %v", it.Key(), it.Err())
	}
}

// TestCutAnywhere cuts the first connection of a client at every byte, in
// either direction, and the second one as well.
func TestCutAnywhere(t *testing.T) {
	for _, dialect := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		for _, kind := range []faultconn.Kind{faultconn.EOF, faultconn.Reset, faultconn.Silence} {
			t.Run(fmt.Sprintf("%v, %v", dialect, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					// To the client an end, a reset and silence differ little,
					// so only the first is tried at every byte.
					step := 1
					if kind != faultconn.EOF {
						step = 5
					}
					read, wrote := cutExercise(t, dialect, faultconn.Plan{}, faultconn.Plan{})
					for at := 0; at < read; at += step {
						cutExercise(t, dialect, faultconn.Plan{Cut: true, Kind: kind, After: at}, faultconn.Plan{})
					}
					for at := 0; at < wrote; at += step {
						cutExercise(t, dialect, faultconn.Plan{}, faultconn.Plan{Cut: true, Kind: kind, After: at})
					}
				})
			})
		}
	}
}

// cutExercise runs an exercise whose first connection, and another in its middle,
// fails, and returns how many bytes went over the first one.
func cutExercise(t *testing.T, dialect wire.Dialect, in, out faultconn.Plan) (read, wrote int) {
	t.Helper()
	h := newFaultyHost(func(n int) (faultconn.Plan, faultconn.Plan) {
		switch n {
		case 0:
			return in, out
		case 1:
			in.After, out.After = in.After/2, out.After/2
			return in, out
		}
		return faultconn.Plan{}, faultconn.Plan{}
	})
	c := client.New(h.dial, &client.Options{Dialect: dialect})
	exercise(t, c)
	if t.Failed() {
		t.Fatalf("cut: in %+v, out %+v", in, out)
	}
	read, wrote = h.current.Transferred()
	c.Close()
	h.close()
	return read, wrote
}

// TestScanUnderCuts walks many entries while every connection is cut after a
// number of bytes, so that walks are resumed at every place.
func TestScanUnderCuts(t *testing.T) {
	const entries = 3000
	keys := make([]string, entries)
	for i := range keys {
		keys[i] = fmt.Sprintf("%0*d", 1+i%5, i) // of different lengths
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, dialect := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		for _, o := range []mld.IterOptions{
			{},
			{Range: mld.Range{Reverse: true}},
			{ValuesOnly: true},
			{KeysOnly: true, Range: mld.Range{Reverse: true, Limit: 2000}},
			{Range: mld.Range{GTE: []byte("1"), LT: []byte("9"), Limit: 1500}},
			{Range: mld.Range{GT: []byte("1"), LTE: []byte("88"), Reverse: true}},
		} {
			t.Run(fmt.Sprintf("%v %+v", dialect, o), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					// Each connection lasts for a little more than the first
					// page, or than a few entries.
					base := 5 << 10
					if dialect == wire.Multileveldown {
						base = 600
					}
					h := newFaultyHost(func(n int) (in, out faultconn.Plan) {
						return faultconn.Plan{Cut: true, Kind: faultconn.Kind(n % 2), After: base + n*37%997}, out
					})
					var b mld.Batch
					for _, k := range keys {
						b.Put([]byte(k), []byte("value of "+k))
					}
					if err := h.store.Apply(t.Context(), &b, nil); err != nil {
						t.Fatal(err)
					}
					c := client.New(h.dial, &client.Options{Dialect: dialect})
					walk(t, c, &o, keys)
					if h.conns < 3 {
						t.Errorf("only %d connections", h.conns)
					}
					c.Close()
					h.close()
				})
			})
		}
	}
}

// TestServerRestart shuts a server down while clients write and read, and
// starts another one over the same store.
func TestServerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		var l *memnet.Listener
		var s *server.Server
		served := make(chan struct{}, 1)
		start := func() {
			l, s = memnet.Listen("host"), server.New(store, nil)
			go func(l *memnet.Listener, s *server.Server) {
				s.Serve(l)
				served <- struct{}{}
			}(l, s)
		}
		dialled := make(chan *memnet.Listener, 1)
		start()
		dialled <- l
		c := client.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
			l := <-dialled
			dialled <- l
			return l.Dial(ctx)
		}, nil)
		defer c.Close()

		done := make(chan error, 1)
		go func() {
			for i := range 400 {
				key, value := []byte("counter"), fmt.Append(nil, i)
				if err := c.Put(t.Context(), key, value, nil); err != nil {
					done <- err
					return
				}
				if got, err := c.Get(t.Context(), key); err != nil || !bytes.Equal(got, value) {
					done <- fmt.Errorf("Get = %q, %w; want %q", got, err, value)
					return
				}
				time.Sleep(time.Millisecond)
			}
			done <- nil
		}()
		for i := range 8 {
			time.Sleep(50 * time.Millisecond)
			old := s
			if i%2 == 0 {
				if err := old.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			} else {
				old.Close()
			}
			<-served
			start()
			<-dialled
			dialled <- l
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil && !errors.Is(err, mld.ErrClosed) {
			t.Error(err)
		}
		<-served
	})
}
