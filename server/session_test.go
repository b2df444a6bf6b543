package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// registryOf opens the registry of a store.
func registryOf(t testing.TB, store mld.Store, o *session.Options) *session.Registry {
	t.Helper()
	r, err := session.Open(context.Background(), store, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// withSessions returns a server with sessions that ends with the test.
func withSessions(t testing.TB, store mld.Store, o server.Options) *server.Server {
	t.Helper()
	o.Sessions = registryOf(t, store, nil)
	srv := server.New(store, &o)
	t.Cleanup(func() {
		srv.Close()
		o.Sessions.Close()
	})
	return srv
}

// helloAs makes the peer a connection of a client, and returns the welcome.
func (p *peer) helloAs(id byte, answered bool) wire.Welcome {
	p.t.Helper()
	p.sendHello(id, answered)
	r := p.receive()
	if r.Tag != wire.TagWelcome {
		p.t.Fatalf("received tag %d, want a welcome", r.Tag)
	}
	return r.Welcome
}

func (p *peer) sendHello(id byte, answered bool) {
	p.t.Helper()
	p.send(wire.AppendHello(nil, &wire.Hello{Version: 1, Dialect: p.d, Client: wire.ClientID{id}, Session: true, Answered: answered}))
}

// numbered gives the last message of frames, which begins at start, a number.
func numbered(frames, message []byte, n, watermark uint64) []byte {
	return wire.NumberWrite(append(frames, message...), len(frames), n, watermark)
}

func numberedPut(n, watermark uint64, key, value string) []byte {
	return numbered(nil, wire.AppendPut(nil, uint32(n), []byte(key), []byte(value), 0), n, watermark)
}

func wantValue(t testing.TB, store mld.Reader, key, want string) {
	t.Helper()
	value, err := store.Get(t.Context(), []byte(key))
	if want == "" && errors.Is(err, mld.ErrNotFound) {
		return
	}
	if err != nil || string(value) != want {
		t.Errorf("%s is %q (%v), want %q", key, value, err, want)
	}
}

func metric(t testing.TB, srv *server.Server, name string) float64 {
	t.Helper()
	stats, err := srv.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, ok := stats.Metrics[name]
	if !ok {
		t.Errorf("there is no %s", name)
	}
	return v
}

// TestRepeatedWrite has a write that is sent again, after somebody else wrote
// the same key, answered and not done.
func TestRepeatedWrite(t *testing.T) {
	for _, how := range []string{"same connection", "new connection", "new server"} {
		t.Run(how, func(t *testing.T) {
			store := memstore.New()
			srv := withSessions(t, store, server.Options{})
			p := dial(t, srv)
			first := p.helloAs(1, false)
			if first.Features&wire.FeatureSessions == 0 || first.Window == 0 || first.Lease == 0 || first.Store == (wire.ClientID{}) || first.Generation != 1 {
				t.Errorf("welcome: %+v", first)
			}
			ops := []mld.Op{{Kind: mld.OpPut, Key: []byte("b"), Value: []byte("old")}, {Kind: mld.OpDelete, Key: []byte("c")}}
			writes := [][]byte{
				numberedPut(1, 0, "a", "old"),
				numbered(nil, wire.AppendBatch(nil, 2, ops, 0), 2, 0),
				numbered(nil, wire.AppendDelete(nil, 3, []byte("d"), 0), 3, 0),
				numbered(nil, wire.AppendClear(nil, 4, &mld.Range{GTE: []byte("e"), LT: []byte("f")}, -1, 0), 4, 0),
				numbered(nil, wire.AppendClear(nil, 5, &mld.Range{GTE: []byte("f")}, 1, 0), 5, 0),
			}
			send := func() {
				p.send(bytes.Join(writes, nil))
				for i := range writes {
					p.expect(uint32(i+1), nil)
				}
			}
			send()
			for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
				if err := store.Put(t.Context(), []byte(key), []byte("newer"), nil); err != nil {
					t.Fatal(err)
				}
			}
			switch how {
			case "new connection":
				p = dial(t, srv)
				p.helloAs(1, true)
			case "new server":
				srv.Close()
				srv = withSessions(t, store, server.Options{})
				p = dial(t, srv)
				if w := p.helloAs(1, true); w.Store != first.Store || w.Generation != 2 {
					t.Errorf("welcome: %+v after %+v", w, first)
				}
			}
			send()
			for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
				wantValue(t, store, key, "newer")
			}
			if n := metric(t, srv, "server_repeated_writes_total"); n != 5 {
				t.Errorf("%v writes counted as repeated, want 5", n)
			}
			p.send(numberedPut(6, 5, "a", "newest"))
			p.expect(6, nil)
			wantValue(t, store, "a", "newest")
			if n := metric(t, srv, "server_sessions"); n != 1 {
				t.Errorf("%v sessions, want 1", n)
			}
		})
	}
}

// TestRepeatedInOneGo has a write and its repetition arrive together: it is
// answered twice, and not before it is applied.
func TestRepeatedInOneGo(t *testing.T) {
	store := newSpy()
	srv := withSessions(t, store, server.Options{})
	p := dial(t, srv)
	p.helloAs(1, false)
	store.take()
	p.send(append(numberedPut(1, 0, "a", "1"), numberedPut(1, 0, "a", "1")...))
	p.expect(1, nil)
	p.expect(1, nil)
	if got := store.take(); !slices.Equal(got, []applied{{2, 0}}) {
		t.Errorf("applied %v, want the write and its record once", got)
	}
}

// TestStuckCommit has the connection of a client that commits, and hangs, waited
// for by the next one of the same client. Its write is applied once, whether it
// was applied already when the connection was cut or not.
func TestStuckCommit(t *testing.T) {
	for _, already := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store := newSpy()
			srv := withSessions(t, store, server.Options{})
			commits := make(chan struct{})
			free := sync.OnceFunc(func() { close(commits) })
			defer free()
			stuck := true
			store.fail = func(b *mld.Batch) error {
				if stuck && string(b.Ops()[0].Key) == "stuck" {
					stuck = false
					if already {
						store.Store.Apply(context.Background(), b, nil)
					}
					<-commits
				}
				return nil
			}
			old := dial(t, srv)
			old.helloAs(1, false)
			old.send(numberedPut(1, 0, "stuck", "old"))
			synctest.Wait()

			waiting := dial(t, srv)
			waiting.sendHello(1, false)
			waiting.send(numberedPut(1, 0, "stuck", "old"))
			synctest.Wait()
			newest := dial(t, srv)
			newest.sendHello(1, false)
			newest.send(numberedPut(1, 0, "stuck", "old"))
			old.expectEnd()
			waiting.expectEnd()
			other := dial(t, srv)
			other.helloAs(2, false)
			other.send(numberedPut(1, 0, "b", "1"))
			other.expect(1, nil)
			synctest.Wait()
			if already {
				store.Put(t.Context(), []byte("stuck"), []byte("newer"), nil)
			}
			store.take()
			free()
			if r := newest.receive(); r.Tag != wire.TagWelcome {
				t.Fatalf("received tag %d, want a welcome", r.Tag)
			}
			newest.expect(1, nil)
			want, times := "old", 1
			if already {
				want, times = "newer", 0
			}
			wantValue(t, store.Store, "stuck", want)
			if got := store.take(); len(got) != times {
				t.Errorf("already %v: applied %v afterwards", already, got)
			}
		})
	}
}

// TestStuckClose has a server closed while one connection of a client waits for
// another that is stuck.
func TestStuckClose(t *testing.T) {
	for _, how := range []string{"close", "shutdown"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newSpy()
				srv := withSessions(t, store, server.Options{})
				old := dial(t, srv)
				old.helloAs(1, false)
				old.send(wire.AppendGet(nil, 1, []byte("slow"), 0))
				<-store.holding
				waiting := dial(t, srv)
				waiting.sendHello(1, false)
				synctest.Wait()
				done := make(chan struct{})
				go func() {
					defer close(done)
					if how == "close" {
						srv.Close()
					} else {
						ctx, cancel := context.WithTimeout(context.Background(), time.Second)
						defer cancel()
						srv.Shutdown(ctx)
					}
				}()
				waiting.expectEnd()
				close(store.hold)
				<-done
			})
		})
	}
}

// TestOlderConnectionIsFenced has what an older connection still says not heard.
func TestOlderConnectionIsFenced(t *testing.T) {
	store := memstore.New()
	srv := withSessions(t, store, server.Options{})
	old := dial(t, srv)
	old.helloAs(1, false)
	newer := dial(t, srv)
	newer.helloAs(1, false)
	old.rw.Write(numberedPut(1, 0, "a", "1"))
	old.expectEnd()
	newer.send(numberedPut(1, 0, "a", "2"))
	newer.expect(1, nil)
	wantValue(t, store, "a", "2")
}

// TestRepeatedRefusals has a refusal repeated as it was told, by the server and
// by the next one, also when what refused it would not do so any more.
func TestRepeatedRefusals(t *testing.T) {
	store := memstore.New()
	strict := true
	options := func() server.Options {
		o := server.Options{BeforeWrite: func(*server.Write) error {
			if strict {
				return fmt.Errorf("not on Sundays%s", strings.Repeat(" and not with this many words", 100))
			}
			return nil
		}}
		if strict {
			o.Limits = server.Limits{Key: 4}
		}
		return o
	}
	srv := withSessions(t, store, options())
	p := dial(t, srv)
	p.helloAs(1, false)
	writes := [][]byte{
		numberedPut(1, 0, "a", "1"),
		numberedPut(2, 0, "too long", "1"),
		numbered(nil, wire.AppendClear(nil, 3, &mld.Range{}, -1, 0), 3, 0),
		numbered(nil, wire.AppendBatch(nil, 4, []mld.Op{{Kind: mld.OpDelete, Key: []byte("a")}, {Kind: mld.OpDelete, Key: []byte("too long")}}, 0), 4, 0),
	}
	codes := []error{mld.ErrRefused, mld.ErrLimitExceeded, mld.ErrRefused, mld.ErrLimitExceeded}
	var told [4]string
	for round := range 4 {
		for i, w := range writes {
			p.send(w)
			words := p.expect(uint32(i+1), codes[i]).Err.Error()
			if told[i] == "" {
				told[i] = words
			} else if words != told[i] {
				t.Errorf("round %d: told %q, and before %q", round, words, told[i])
			}
		}
		switch round {
		case 0:
			strict = false
		case 1:
			p = dial(t, srv)
			p.helloAs(1, true)
		case 2:
			srv.Close()
			srv = withSessions(t, store, options())
			p = dial(t, srv)
			p.helloAs(1, true)
		}
	}
	p.send(numberedPut(5, 4, "too long", "1"))
	p.expect(5, nil)
}

// TestOneRecord has writes that arrive together carry one record, and those that
// are not numbered none.
func TestOneRecord(t *testing.T) {
	store := newSpy()
	srv := withSessions(t, store, server.Options{BeforeWrite: func(w *server.Write) error {
		if w.Kind == server.WritePut && string(w.Ops[0].Key) == "refused" {
			return errors.New("no")
		}
		return nil
	}})
	p := dial(t, srv)
	p.helloAs(1, false)
	store.take()
	var frames []byte
	for n := range uint64(64) {
		frames = append(frames, numberedPut(n+1, 0, "a", "1")...)
	}
	p.send(frames)
	for n := range uint32(64) {
		p.expect(n+1, nil)
	}
	if got := store.take(); !slices.Equal(got, []applied{{65, 0}}) {
		t.Errorf("applied %v, want 64 writes and a record together", got)
	}
	p.send(wire.AppendPut(nil, 1, []byte("a"), nil, 0))
	p.expect(1, nil)
	p.send(slices.Concat(numberedPut(65, 64, "refused", "1"), wire.AppendPut(nil, 1, []byte("a"), nil, 0), numberedPut(66, 64, "b", "1")))
	p.expect(65, mld.ErrRefused)
	p.expect(1, nil)
	p.expect(66, nil)
	p.send(numberedPut(67, 66, "refused", "1"))
	p.expect(67, mld.ErrRefused)
	if got := store.take(); !slices.Equal(got, []applied{{1, 0}, {3, 0}, {1, mld.DurabilityNoSync}}) {
		t.Errorf("applied %v", got)
	}
}

// TestNumbers has numbers that make no sense refused, and nothing done.
func TestNumbers(t *testing.T) {
	store := memstore.New()
	srv := withSessions(t, store, server.Options{})
	p := dial(t, srv)
	window := uint64(p.helloAs(1, false).Window)
	p.send(slices.Concat(numberedPut(1, 0, "a", "1"), numberedPut(2, 0, "b", "1")))
	p.expect(1, nil)
	p.expect(2, nil)
	for _, c := range []struct {
		what         string
		n, watermark uint64
		key, value   string
		want         error
	}{
		{"another value", 2, 0, "b", "2", mld.ErrProtocol},
		{"another key", 2, 0, "c", "1", mld.ErrProtocol},
		{"beyond the window", window + 1, 0, "c", "1", mld.ErrLimitExceeded},
		{"below the watermark", 4, 3, "c", "1", nil},
		{"below the watermark", 3, 2, "b", "2", mld.ErrProtocol},
	} {
		p.send(numberedPut(c.n, c.watermark, c.key, c.value))
		if r := p.receive(); c.want == nil && r.Err != nil || c.want != nil && !errors.Is(r.Err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, r.Err, c.want)
		}
	}
	wantValue(t, store, "b", "1")
	wantValue(t, store, "c", "1")
	p.send(numbered(nil, wire.AppendPut(nil, 9, []byte("c"), []byte("2"), 0), 5, 5))
	p.expect(9, mld.ErrProtocol)
	wantValue(t, store, "c", "1")
}

// recordSize returns how many bytes the records of the sessions have.
func recordSize(t testing.TB, store mld.Reader) int {
	t.Helper()
	records, err := mld.Collect(t.Context(), store, &mld.IterOptions{Range: mld.ReservedRange()})
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records (%v), want the store's and one session's", len(records), err)
	}
	return len(records[1].Value)
}

// TestWatermark has the record shrink to what has no answer yet.
func TestWatermark(t *testing.T) {
	store := memstore.New()
	p := dial(t, withSessions(t, store, server.Options{}))
	p.helloAs(1, false)
	for n := range uint64(500) {
		p.send(numberedPut(n+1, 0, "a", "1"))
		p.expect(uint32(n+1), nil)
	}
	if size := recordSize(t, store); size < 2000 {
		t.Errorf("500 writes without an acknowledgement are remembered in %d bytes", size)
	}
	p.send(numberedPut(501, 500, "a", "1"))
	p.expect(501, nil)
	if size := recordSize(t, store); size > 20 {
		t.Errorf("one write is remembered in %d bytes", size)
	}
}

// TestLostSessions has the writes of sessions that the server does not know, or
// not any more, refused, and nothing done.
func TestLostSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		registry := registryOf(t, store, &session.Options{Lease: time.Hour, MaxSessions: 1})
		defer registry.Close()
		srv := server.New(store, &server.Options{Sessions: registry})
		defer srv.Close()
		lost := func(id byte, answered bool, n uint64, want error) {
			t.Helper()
			p := dial(t, srv)
			p.helloAs(id, answered)
			p.send(numberedPut(n, n-1, "a", "lost"))
			p.expect(uint32(n), want)
			p.send(wire.AppendGet(nil, 1, []byte("a"), 0))
			p.receive()
			p.rw.Close()
			synctest.Wait()
		}
		lost(1, true, 5, mld.ErrSessionLost)
		p := dial(t, srv)
		p.helloAs(2, false)
		p.send(numberedPut(1, 0, "a", "1"))
		p.expect(1, nil)
		wantLimit(t, func() error {
			q := dial(t, srv)
			q.helloAs(3, false)
			q.send(numberedPut(1, 0, "a", "2"))
			return q.receive().Err
		}(), "max-sessions")
		p.rw.Close()
		time.Sleep(2 * time.Hour)
		lost(2, true, 2, mld.ErrSessionLost)
		lost(2, false, 2, mld.ErrSessionLost)

		// Without a hello, or without asking for a session.
		p = dial(t, srv)
		p.send(numberedPut(1, 0, "a", "lost"))
		p.expect(1, mld.ErrSessionLost)
		wantValue(t, store, "a", "1")
	})
}

func TestEndOfSession(t *testing.T) {
	store := memstore.New()
	srv := withSessions(t, store, server.Options{})
	p := dial(t, srv)
	p.helloAs(1, false)
	p.send(wire.AppendSessionEnd(numberedPut(1, 0, "a", "1"), 2))
	p.expect(1, nil)
	p.expect(2, nil)
	p.send(numberedPut(2, 1, "a", "2"))
	p.expect(2, mld.ErrSessionLost)
	if n := metric(t, srv, "server_sessions"); n != 0 {
		t.Errorf("%v sessions after the end", n)
	}
	wantValue(t, store, "a", "1")
}

// failing makes the spy fail for batches with a key.
func (s *spy) failFor(key string, err error, before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = func(b *mld.Batch) error {
		if !slices.ContainsFunc(b.Ops(), func(op mld.Op) bool { return string(op.Key) == key }) {
			return nil
		}
		if !before {
			s.Store.Apply(context.Background(), b, nil)
		}
		return err
	}
}

// TestRefusedByStore has writes that the store refuses together done one by one,
// each with what is remembered of it.
func TestRefusedByStore(t *testing.T) {
	store := newSpy()
	srv := withSessions(t, store, server.Options{})
	p := dial(t, srv)
	p.helloAs(1, false)
	store.failFor("bad", &mld.Error{Code: mld.CodeLimitExceeded, Msg: "too much"}, true)
	frames := slices.Concat(numberedPut(1, 0, "a", "1"), numberedPut(2, 0, "bad", "1"), numberedPut(3, 0, "c", "1"))
	for range 2 {
		p.send(frames)
		p.expect(1, nil)
		if r := p.expect(2, mld.ErrLimitExceeded); !strings.Contains(r.Err.Error(), "too much") {
			t.Errorf("the refusal says %q", r.Err)
		}
		p.expect(3, nil)
		store.failFor("", nil, true)
		store.Put(t.Context(), []byte("a"), []byte("newer"), nil)
	}
	wantValue(t, store, "a", "newer")
	wantValue(t, store, "bad", "")
	wantValue(t, store, "c", "1")
}

// TestUnknownOutcome has a write of which nobody knows whether it was applied
// found in the store when it is sent again, or done if it is not there.
func TestUnknownOutcome(t *testing.T) {
	for _, before := range []bool{true, false} {
		store := newSpy()
		srv := withSessions(t, store, server.Options{})
		p := dial(t, srv)
		p.helloAs(1, false)
		store.failFor("a", errors.New("a fault of the store"), before)
		p.send(numberedPut(1, 0, "a", "1"))
		p.expect(1, mld.ErrInternal)
		store.failFor("", nil, true)
		if !before {
			store.Put(t.Context(), []byte("a"), []byte("newer"), nil)
		}
		p = dial(t, srv)
		p.helloAs(1, false)
		p.send(numberedPut(1, 0, "a", "1"))
		p.expect(1, nil)
		wantValue(t, store, "a", map[bool]string{true: "1", false: "newer"}[before])
	}
}

// TestFailedLog has a server take no more writes after the system failed to
// write, and say so.
func TestFailedLog(t *testing.T) {
	for name, write := range map[string][]byte{
		"numbered": numberedPut(1, 0, "a", "1"),
		"plain":    wire.AppendPut(nil, 1, []byte("a"), []byte("1"), 0),
		"clear":    wire.AppendClear(wire.AppendPut(nil, 1, []byte("a"), []byte("1"), 0), 2, &mld.Range{}, -1, 0),
	} {
		t.Run(name, func(t *testing.T) {
			store := newSpy()
			srv := withSessions(t, store, server.Options{})
			store.Put(t.Context(), []byte("a"), []byte("0"), nil)
			p := dial(t, srv)
			p.helloAs(1, false)
			if n := metric(t, srv, "server_writes_failed"); n != 0 {
				t.Errorf("failed writes before: %v", n)
			}
			store.failFor("a", &mld.Error{Code: mld.CodeIO, Msg: "the disk is full"}, true)
			p.send(write)
			p.expect(1, mld.ErrIO)
			if name == "clear" {
				p.expect(2, mld.ErrIO)
			}
			store.failFor("", nil, true)
			store.take()
			p.send(slices.Concat(numberedPut(2, 0, "b", "1"), wire.AppendPut(nil, 3, []byte("b"), nil, 0),
				wire.AppendClear(nil, 4, &mld.Range{}, -1, 0), wire.AppendGet(nil, 5, []byte("a"), 0)))
			for id := uint32(2); id <= 4; id++ {
				if r := p.expect(id, mld.ErrIO); !strings.Contains(r.Err.Error(), "takes no more writes") || !strings.Contains(r.Err.Error(), "the disk is full") {
					t.Errorf("write %d is refused with %q", id, r.Err)
				}
			}
			p.expect(5, nil)
			if got := store.take(); len(got) > 0 {
				t.Errorf("applied %v after the failure", got)
			}
			if n := metric(t, srv, "server_writes_failed"); n != 1 {
				t.Errorf("failed writes: %v", n)
			}
		})
	}
}

// TestNumberedClear has clears remove what they should and no record.
func TestNumberedClear(t *testing.T) {
	all := []string{"a", "b", "c", "d", "\xff\xffn", "\xff\xff\xff"}
	for _, c := range []struct {
		name  string
		rg    mld.Range
		limit int
		left  []string
	}{
		{"all", mld.Range{}, -1, nil},
		{"none", mld.Range{}, 0, all},
		{"range", mld.Range{GT: []byte("a"), LTE: []byte("c")}, -1, []string{"a", "d", "\xff\xffn", "\xff\xff\xff"}},
		{"from the end of the range", mld.Range{GT: []byte("c")}, -1, []string{"a", "b", "c"}},
		{"empty", mld.Range{GT: []byte("c"), LT: []byte("b")}, -1, all},
		{"limit", mld.Range{}, 2, []string{"c", "d", "\xff\xffn", "\xff\xff\xff"}},
		{"limit around the records", mld.Range{GTE: []byte("d")}, 2, []string{"a", "b", "c", "\xff\xff\xff"}},
		{"reverse", mld.Range{Reverse: true}, 3, []string{"a", "b", "c"}},
		{"reverse in a range", mld.Range{LT: []byte("c"), Reverse: true}, 1, []string{"a", "c", "d", "\xff\xffn", "\xff\xff\xff"}},
		{"limit above all", mld.Range{}, 100, nil},
		{"the reserved range", mld.Range{GTE: []byte(mld.ReservedPrefix), LT: []byte("\xff\xffmld\x01")}, -1, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newSpy()
			srv := withSessions(t, store, server.Options{})
			for _, key := range all {
				store.Put(t.Context(), []byte(key), []byte("v"), nil)
			}
			p := dial(t, srv)
			p.helloAs(1, false)
			store.take()
			p.send(numbered(nil, wire.AppendClear(nil, 1, &c.rg, c.limit, 0), 1, 0))
			p.expect(1, nil)
			if got := store.take(); len(got) != 1 {
				t.Errorf("applied %v, want one batch", got)
			}
			var left []string
			for e, err := range mld.All(t.Context(), store.Store, &mld.IterOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				if !mld.IsReserved(e.Key) {
					left = append(left, string(e.Key))
				}
			}
			if !slices.Equal(left, c.left) {
				t.Errorf("left %q, want %q", left, c.left)
			}
			recordSize(t, store)
			p.send(numbered(nil, wire.AppendClear(nil, 1, &c.rg, c.limit, 0), 1, 0))
			p.expect(1, nil)
			p.send(numbered(nil, wire.AppendClear(nil, 2, &mld.Range{GT: []byte("zz")}, c.limit, 0), 1, 0))
			p.expect(2, mld.ErrProtocol)
		})
	}
}

// TestClearsTogether has clears that arrive together be applied together, but not many:
// what those that overlap take of a store can grow with the square of their number.
func TestClearsTogether(t *testing.T) {
	store := newSpy()
	srv := withSessions(t, store, server.Options{})
	p := dial(t, srv)
	p.helloAs(1, false)
	store.take()
	var frames []byte
	for n := range uint32(130) {
		frames = append(frames, numbered(nil, wire.AppendClear(nil, n+1, &mld.Range{GTE: []byte("a"), LT: []byte("b")}, -1, 0), uint64(n+1), 0)...)
	}
	p.send(frames)
	for n := range uint32(130) {
		p.expect(n+1, nil)
	}
	if got := store.take(); !slices.Equal(got, []applied{{65, 0}, {65, 0}, {3, 0}}) {
		t.Errorf("applied %v, want 64, 64 and 2 removals with a record each", got)
	}
}

// TestReservedKeys has nobody see or change what the system keeps, in any call
// of either dialect.
func TestReservedKeys(t *testing.T) {
	store := memstore.New()
	hidden := []byte(mld.ReservedPrefix + "m")
	hook := func(w *server.Write) error {
		if w.Kind == server.WritePut && string(w.Ops[0].Key) == "by the hook" {
			w.Ops = append(w.Ops, mld.Op{Kind: mld.OpDeleteRange}, w.Ops[0])
		}
		return nil
	}
	srv := withSessions(t, store, server.Options{BeforeWrite: hook})
	before, err := store.Get(t.Context(), hidden)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		store.Put(t.Context(), []byte("a"), []byte("v"), nil)
		p := newPeer(t, connect(t, srv), d)
		p.helloAs(byte(i+1), false)
		p.send(wire.AppendSnapshotOpen(nil, 1, 1))
		p.expect(1, nil)
		for snapshot := range uint32(2) {
			p.send(wire.AppendGet(nil, 1, hidden, snapshot))
			p.expect(1, mld.ErrNotFound)
			p.send(wire.AppendGetMany(nil, 2, [][]byte{[]byte("a"), hidden}, snapshot))
			if r := p.expect(2, nil); r.Values[0] == nil || r.Values[1] != nil {
				t.Errorf("get-many: %q", r.Values)
			}
			for id, rg := range []mld.Range{{}, {Reverse: true}, mld.ReservedRange(), {GTE: hidden, LTE: hidden}} {
				p.send(wire.AppendIterator(nil, d, &wire.IteratorOpen{ID: uint32(id+3) + 100*snapshot, Keys: true, Values: true, Range: rg, Limit: -1, Credit: 100, Snapshot: snapshot}))
				for {
					r := p.receive()
					if r.End {
						break
					}
					if key, _, _ := wire.NextDatum(r.Data); mld.IsReserved(key) {
						t.Errorf("an iterator gives %q", key)
					}
				}
			}
		}
		put := wire.AppendPut(nil, 1, hidden, []byte("mine"), 0)
		del := wire.AppendDelete(nil, 1, hidden, 0)
		batch := wire.AppendBatch(nil, 1, []mld.Op{{Kind: mld.OpPut, Key: []byte("b")}, {Kind: mld.OpDelete, Key: hidden}}, 0)
		for n, write := range [][]byte{put, del, batch} {
			p.send(write)
			p.expect(1, mld.ErrReservedKey)
			p.send(numbered(nil, write, uint64(n+1), 0))
			p.expect(1, mld.ErrReservedKey)
			p.send(numbered(nil, write, uint64(n+1), 0))
			p.expect(1, mld.ErrReservedKey)
		}
		wantValue(t, store, "b", "")
		// What came with it is done.
		p.send(slices.Concat(numberedPut(4, 3, "a", "1"), numbered(nil, put, 5, 3), numberedPut(6, 3, "b", "1")))
		p.expect(4, nil)
		p.expect(1, mld.ErrReservedKey)
		p.expect(6, nil)
		wantValue(t, store, "b", "1")
		for _, limit := range []int{-1, 100} {
			p.send(wire.AppendClear(nil, 1, &mld.Range{}, limit, 0))
			p.expect(1, nil)
			rg := mld.ReservedRange()
			p.send(wire.AppendClear(nil, 1, &rg, limit, 0))
			p.expect(1, nil)
		}
		wantValue(t, store, "b", "")
		p.send(wire.AppendPut(nil, 1, []byte("by the hook"), []byte("v"), 0))
		p.expect(1, nil)
		wantValue(t, store, "by the hook", "v")
	}
	if after, err := store.Get(t.Context(), hidden); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the store's id is %x after all (%v), and was %x", after, err, before)
	}
	if n := metric(t, srv, "entries"); n != 1 {
		t.Errorf("%v entries, want 1", n)
	}
}

// TestWithoutSessions has a server that was given none offer none, and do
// numbered writes as others.
func TestWithoutSessions(t *testing.T) {
	store := newSpy()
	srv := server.New(store, nil)
	defer srv.Close()
	p := dial(t, srv)
	if w := p.helloAs(1, false); w.Features&(wire.FeatureSessions|wire.FeatureLeases) != wire.FeatureLeases || w.Instance == 0 {
		t.Errorf("welcome: %+v", w)
	}
	p.send(numberedPut(1, 0, "a", "1"))
	p.expect(1, nil)
	if got := store.take(); !slices.Equal(got, []applied{{1, 0}}) {
		t.Errorf("applied %v", got)
	}
}

// TestLimitedClearIsAlone has the writes of other connections wait between a
// clear's look at the keys and their removal.
func TestLimitedClearIsAlone(t *testing.T) {
	store := newSpy()
	srv := withSessions(t, store, server.Options{})
	store.Put(t.Context(), []byte("b"), nil, nil)
	begun, clears := make(chan struct{}), make(chan struct{})
	var clearing atomic.Bool
	store.fail = func(b *mld.Batch) error {
		if b.Ops()[0].Kind == mld.OpDeleteRange {
			clearing.Store(true)
			close(begun)
			<-clears
			clearing.Store(false)
		} else if clearing.Load() {
			t.Error("a write of another connection came between")
		}
		return nil
	}
	p, q := dial(t, srv), dial(t, srv)
	p.helloAs(1, false)
	p.send(numbered(nil, wire.AppendClear(nil, 1, &mld.Range{}, 1, 0), 1, 0))
	<-begun
	q.send(wire.AppendPut(nil, 1, []byte("a"), []byte("1"), 0))
	for metric(t, srv, "server_puts_total") == 0 {
		runtime.Gosched()
	}
	for range 1000 {
		runtime.Gosched() // the put is about to be applied, or to wait
	}
	close(clears)
	p.expect(1, nil)
	q.expect(1, nil)
	wantValue(t, store.Store, "a", "1")
	if _, err := store.Get(t.Context(), []byte("b")); !errors.Is(err, mld.ErrNotFound) {
		t.Errorf("what was to be cleared: %v", err)
	}
}
