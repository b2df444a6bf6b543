package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

func wantLimit(t testing.TB, err error, flag string) {
	t.Helper()
	if !errors.Is(err, mld.ErrLimitExceeded) || !strings.Contains(err.Error(), flag) {
		t.Errorf("error %v, want one that names %s", err, flag)
	}
}

// inFlight returns what the server counts.
func inFlight(t testing.TB, srv *server.Server) float64 {
	t.Helper()
	stats, err := srv.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stats.Metrics["server_in_flight_bytes"]
}

func TestConnectionsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server.New(memstore.New(), &server.Options{Limits: server.Limits{Connections: 1}})
		l, served := serve(t, srv)
		first := dialListener(t, l)
		for range 50 { // that none of them reads holds nobody up
			dialListener(t, l)
		}
		refused := dialListener(t, l)
		synctest.Wait()
		second := refused
		if r, err := second.tryReceive(); err == nil {
			wantLimit(t, r.Err, "max-connections")
		}
		second.expectEnd()
		first.send(wire.AppendGetMany(nil, 1, nil, 0))
		first.expect(1, nil)
		first.rw.Close()
		synctest.Wait()
		third := dialListener(t, l)
		third.send(wire.AppendGetMany(nil, 1, nil, 0))
		third.expect(1, nil)
		srv.Close()
		<-served
	})
}

func TestAnswerLimit(t *testing.T) {
	store := memstore.New()
	store.Put(t.Context(), []byte("a"), make([]byte, 1000), nil)
	p := dial(t, server.New(store, &server.Options{Limits: server.Limits{Answer: 2500}}))
	p.hello()
	a := []byte("a")
	p.send(wire.AppendGetMany(nil, 1, [][]byte{a, a, a}, 0))
	wantLimit(t, p.expect(1, mld.ErrLimitExceeded).Err, "max-answer")
	p.send(wire.AppendGetMany(nil, 2, [][]byte{a, []byte("x"), a}, 0))
	if r := p.expect(2, nil); len(r.Values) != 3 || len(r.Values[0]) != 1000 || r.Values[1] != nil || len(r.Values[2]) != 1000 {
		t.Errorf("after the refusal: %d values", len(r.Values))
	}
}

// TestInFlight has large messages refused in every way that takes memory, and
// all memory given back.
func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		store.Put(t.Context(), []byte("small"), make([]byte, 1000), nil)
		store.Put(t.Context(), []byte("big"), make([]byte, 600<<10), nil)
		srv := server.New(store, &server.Options{Limits: server.Limits{InFlight: 1 << 20}})

		// Two connections take most of what there is: they do not read.
		hogs := []*peer{dial(t, srv), dial(t, srv)}
		for _, hog := range hogs {
			hog.send(wire.AppendGet(nil, 1, []byte("big"), 0))
		}
		synctest.Wait()
		if n := inFlight(t, srv); n < 900<<10 || n > 1<<20 {
			t.Fatalf("in flight: %v bytes", n)
		}
		p := dial(t, srv)
		p.hello()
		p.send(wire.AppendGet(nil, 1, []byte("big"), 0))
		wantLimit(t, p.expect(1, mld.ErrLimitExceeded).Err, "max-in-flight-bytes")
		p.send(wire.AppendGetMany(nil, 2, [][]byte{[]byte("small"), []byte("big")}, 0))
		wantLimit(t, p.expect(2, mld.ErrLimitExceeded).Err, "max-in-flight-bytes")
		p.send(wire.AppendIterator(nil, p.d, &wire.IteratorOpen{ID: 3, Keys: true, Values: true, Limit: -1}))
		if r := p.receive(); r.Tag != wire.TagIteratorError {
			t.Errorf("received tag %d", r.Tag)
		} else {
			wantLimit(t, r.Err, "max-in-flight-bytes")
		}
		// What is small goes on.
		p.send(wire.AppendGet(nil, 4, []byte("small"), 0))
		p.expect(4, nil)
		// A large message that is sent ends its connection, for it cannot be read.
		go p.rw.Write(wire.AppendPut(nil, 5, []byte("a"), make([]byte, 500<<10), 0))
		r := p.receive()
		if r.Tag != wire.TagGoodbye {
			t.Errorf("received tag %d", r.Tag)
		}
		wantLimit(t, r.Err, "max-in-flight-bytes")
		p.expectEnd()

		for _, hog := range hogs {
			hog.expect(1, nil)
			hog.send(wire.AppendGet(nil, 2, []byte("small"), 0))
			hog.expect(2, nil)
		}
		p = dial(t, srv)
		p.send(wire.AppendPut(nil, 5, []byte("a"), make([]byte, 500<<10), 0))
		p.expect(5, nil)
		for _, c := range append(hogs, p) {
			c.rw.Close()
		}
		synctest.Wait()
		if n := inFlight(t, srv); n != 0 {
			t.Errorf("in flight after all: %v bytes", n)
		}
	})
}

// TestConnInFlight has a connection refused what is above its share in every way
// that takes memory, and by default room for the largest message together with
// the largest answer.
func TestConnInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		big := []byte("big")
		store.Put(t.Context(), big, make([]byte, 600<<10), nil)
		srv := server.New(store, &server.Options{Limits: server.Limits{ConnInFlight: 600 << 10}})
		p := dial(t, srv)
		p.hello()
		for id := range uint32(3) { // what is given back counts no more
			p.send(wire.AppendGet(nil, id, big, 0))
			p.expect(id, nil)
		}
		p.send(wire.AppendGetMany(nil, 3, [][]byte{big, big}, 0))
		wantLimit(t, p.expect(3, mld.ErrLimitExceeded).Err, "max-connection-bytes")
		// Within one batch: what is received and the list of operations.
		ops := slices.Repeat([]mld.Op{{Kind: mld.OpPut, Key: []byte("a"), Value: make([]byte, 50)}}, 5000)
		p.send(wire.AppendBatch(nil, 4, ops[:4000], 0))
		p.expect(4, nil)
		p.send(wire.AppendBatch(nil, 5, ops, 0))
		wantLimit(t, p.expect(5, mld.ErrLimitExceeded).Err, "max-connection-bytes")
		p.send(wire.AppendGet(nil, 6, []byte("a"), 0)) // what is small goes on
		p.expect(6, nil)
		go p.rw.Write(wire.AppendPut(nil, 7, []byte("a"), make([]byte, 1<<20), 0))
		r := p.receive()
		if r.Tag != wire.TagGoodbye {
			t.Fatalf("received tag %d, want a goodbye", r.Tag)
		}
		wantLimit(t, r.Err, "max-connection-bytes")
		p.expectEnd()
		p.rw.Close()
		synctest.Wait()
		if n := inFlight(t, srv); n != 0 {
			t.Errorf("in flight after all: %v bytes", n)
		}
	})
}

// TestDefaultConnInFlight has one connection leave room for another, and take as
// much as the largest message and the largest answer do together.
func TestDefaultConnInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const frame = 4 << 20 // as the defaults are to each other: a quarter of all
		store := memstore.New()
		value := make([]byte, frame-100)
		srv := server.New(store, &server.Options{Limits: server.Limits{Frame: frame, Answer: frame, InFlight: 4 * frame}})
		p := dial(t, srv)
		p.send(wire.AppendPut(nil, 1, []byte("a"), value, 0))
		p.expect(1, nil)
		// What came together stays in memory while the answer is made.
		put := wire.AppendPut(nil, 2, []byte("b"), value, 0)
		go p.rw.Write(wire.AppendGetMany(put, 3, [][]byte{[]byte("a")}, 0))
		p.expect(2, nil)
		p.expect(3, nil)
	})
}

// TestManySmallOperations has a batch counted for what it takes in memory, which
// is far more than its message.
func TestManySmallOperations(t *testing.T) {
	srv := server.New(memstore.New(), &server.Options{Limits: server.Limits{InFlight: 1 << 20, ConnInFlight: -1}})
	p := dial(t, srv)
	p.hello()
	ops := slices.Repeat([]mld.Op{{Kind: mld.OpDelete, Key: []byte("a")}}, 20_000)
	for _, durability := range []mld.Durability{mld.DurabilityDefault, mld.DurabilityNoSync} {
		p.send(wire.AppendBatch(nil, 1, ops, durability))
		wantLimit(t, p.expect(1, mld.ErrLimitExceeded).Err, "max-in-flight-bytes")
		p.send(wire.AppendBatch(nil, 2, ops[:5000], durability))
		p.expect(2, nil)
	}
	if n := inFlight(t, srv); n > 1<<19 {
		t.Errorf("%v bytes in flight after all", n)
	}
}

// TestIdleGiveBack has connections that sent large messages once, and are silent
// since, not use up what others need.
func TestIdleGiveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server.New(memstore.New(), &server.Options{Limits: server.Limits{InFlight: 4 << 20}})
		for range 20 {
			p := dial(t, srv)
			p.send(wire.AppendPut(nil, 1, []byte("a"), make([]byte, 900<<10), 0))
			p.expect(1, nil)
			p.send(wire.AppendGet(nil, 2, []byte("a"), 0))
			p.expect(2, nil)
		}
	})
}

// TestPageBudget has a page of small rows that large ones follow stay within its
// size, and a row.
func TestPageBudget(t *testing.T) {
	store := memstore.New()
	for i := range 1000 {
		store.Put(t.Context(), fmt.Appendf(nil, "a%04d", i), []byte("1"), nil)
	}
	for i := range 20 {
		store.Put(t.Context(), fmt.Appendf(nil, "b%04d", i), bytes.Repeat([]byte("x"), 1<<20), nil)
	}
	srv := server.New(store, nil)
	for _, size := range []uint32{0, 128 << 10, 1 << 30} {
		p := dial(t, srv)
		p.send(wire.AppendIterator(nil, p.d, &wire.IteratorOpen{ID: 1, Keys: true, Values: true, Limit: -1, PageBytes: size}))
		entries, pages := 0, 0
		for {
			r := p.receive()
			if r.End {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				break
			}
			pages++
			if len(r.Data) > 256<<10+1<<20+100 {
				t.Errorf("asked for %d, a page has %d bytes", size, len(r.Data))
			}
			n := 0
			for data := r.Data; len(data) > 0; n++ {
				_, data, _ = wire.NextDatum(data)
			}
			entries += n / 2
			p.send(wire.AppendIteratorAck(nil, 1, 0, uint64(entries)))
		}
		if entries != 1020 {
			t.Errorf("asked for %d: %d entries in %d pages", size, entries, pages)
		}
	}
}

// TestTotalIterators has the iterators of all connections counted, those that are
// kept of a client without one among them, until each is closed in whatever way.
func TestTotalIterators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		fill(t, store, "", 10)
		srv := server.New(store, &server.Options{Limits: server.Limits{TotalIterators: 3}})
		open := func(p *peer, o wire.IteratorOpen) error {
			_, _, err := p.scan(o, 1)
			return err
		}
		leaser, p, other := dial(t, srv), dial(t, srv), newPeer(t, connect(t, srv), wire.Multileveldown)
		leaser.helloAs(1, false)
		if err := open(leaser, wire.IteratorOpen{ID: 1, Limit: -1, Lease: 1}); err != nil {
			t.Fatal(err)
		}
		leaser.rw.Close()
		synctest.Wait()
		if err := open(p, wire.IteratorOpen{ID: 1, Limit: -1}); err != nil {
			t.Fatal(err)
		}
		if err := open(other, wire.IteratorOpen{ID: 0, Limit: 0}); err != nil { // it ends, and stays until it is closed
			t.Fatal(err)
		}
		wantLimit(t, open(p, wire.IteratorOpen{ID: 2, Limit: -1}), "max-total-iterators")
		if n := metric(t, srv, "server_open_iterators"); n != 3 {
			t.Errorf("%v open", n)
		}
		// One that goes on is no further one.
		leaser = dial(t, srv)
		leaser.helloAs(1, false)
		if err := open(leaser, wire.IteratorOpen{ID: 1, Limit: -1, Lease: 1, Resume: true, Strict: true}); err != nil {
			t.Error(err)
		}
		other.send(wire.AppendIteratorClose(nil, other.d, 0))
		synctest.Wait()
		if err := open(p, wire.IteratorOpen{ID: 3, Limit: -1}); err != nil {
			t.Error(err)
		}
		leaser.rw.Close()
		synctest.Wait()
		p.rw.Close()
		synctest.Wait()
		if n := metric(t, srv, "server_open_iterators"); n != 1 {
			t.Errorf("%v open, want the one that is kept", n)
		}
		srv.Close()
		if n := metric(t, srv, "server_open_iterators"); n != 0 {
			t.Errorf("%v open after all", n)
		}
	})
}

// TestTotalSnapshots has the snapshots of all connections counted.
func TestTotalSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server.New(memstore.New(), &server.Options{Limits: server.Limits{TotalSnapshots: 2}})
		leaser, p := dial(t, srv), dial(t, srv)
		leaser.helloAs(1, false)
		p.hello()
		leaser.send(wire.AppendSnapshotOpen(nil, 1, 1))
		leaser.expect(1, nil)
		leaser.rw.Close()
		p.send(wire.AppendSnapshotOpen(nil, 1, 1))
		p.expect(1, nil)
		p.send(wire.AppendSnapshotOpen(nil, 2, 2))
		wantLimit(t, p.expect(2, mld.ErrLimitExceeded).Err, "max-total-snapshots")
		p.send(wire.AppendSnapshotClose(nil, 3, 1))
		p.expect(3, nil)
		p.send(wire.AppendSnapshotOpen(nil, 4, 2))
		p.expect(4, nil)
		p.rw.Close()
		synctest.Wait()
		if n := metric(t, srv, "server_open_snapshots"); n != 1 {
			t.Errorf("%v open, want the one that is kept", n)
		}
		srv.Close()
		if n := metric(t, srv, "server_open_snapshots"); n != 0 {
			t.Errorf("%v open after all", n)
		}
	})
}

// TestConnUnread has an answer refused that is too large to wait for its client,
// in every way in which it can be.
func TestConnUnread(t *testing.T) {
	for limits, flag := range map[server.Limits]string{
		{ConnUnread: 300 << 10}:             "max-connection-unread",
		{Unread: 300 << 10, ConnUnread: -1}: "max-unread",
	} {
		store := memstore.New()
		small, big := []byte("a"), []byte("big")
		store.Put(t.Context(), small, make([]byte, 100<<10), nil)
		store.Put(t.Context(), big, make([]byte, 300<<10), nil)
		p := dial(t, server.New(store, &server.Options{Limits: limits}))
		p.hello()
		p.send(wire.AppendGet(nil, 1, big, 0))
		wantLimit(t, p.expect(1, mld.ErrLimitExceeded).Err, flag)
		p.send(wire.AppendGetMany(nil, 2, [][]byte{small, small, small}, 0))
		wantLimit(t, p.expect(2, mld.ErrLimitExceeded).Err, flag)
		_, _, err := p.scan(wire.IteratorOpen{ID: 3, Values: true, Limit: -1, Range: mld.Range{GTE: big}}, 0)
		wantLimit(t, err, flag)
		// What is smaller is read, however much of it there is.
		var frames []byte
		for id := range uint32(20) {
			frames = wire.AppendGet(frames, id, small, 0)
		}
		p.send(frames)
		for id := range uint32(20) {
			p.expect(id, nil)
		}
	}
}

// TestUnread has the connections cut whose clients have not read for the longest,
// and no others, when what is unread is too much.
func TestUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		store.Put(t.Context(), []byte("a"), make([]byte, 1<<20), nil)
		var log bytes.Buffer
		srv := server.New(store, &server.Options{
			Limits: server.Limits{Unread: 3<<20 + 1<<19}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		var clients []*peer
		for range 6 {
			p := dial(t, srv)
			p.send(wire.AppendGet(nil, 1, []byte("a"), 0))
			synctest.Wait()
			time.Sleep(time.Second)
			clients = append(clients, p)
		}
		if n := metric(t, srv, "server_unread_bytes"); n < 3<<20 || n > 3<<20+1<<19 {
			t.Errorf("%v bytes are unread", n)
		}
		if n := metric(t, srv, "server_slow_readers_cut_total"); n != 3 {
			t.Errorf("%v were cut", n)
		}
		for i, p := range clients {
			r, err := p.tryReceive()
			if read := err == nil && len(r.Value) == 1<<20; read != (i >= 3) {
				t.Errorf("client %d: %v", i, err)
			}
			p.rw.Close()
		}
		synctest.Wait()
		if n := metric(t, srv, "server_unread_bytes"); n != 0 {
			t.Errorf("%v bytes are unread after all", n)
		}
		srv.Close()
		if n := strings.Count(log.String(), "(max-unread)"); n != 3 {
			t.Errorf("the log has the reason %d times:\n%s", n, &log)
		}
	})
}
