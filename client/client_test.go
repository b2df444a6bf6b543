package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// losses are the ways in which a connection is lost, each brought about by the
// server's end, with what a caller finds in the error if it is told.
var losses = []struct {
	name  string
	cut   func(p *peer)
	cause string
}{
	{"EOF between two messages", func(p *peer) { p.conn.Close() }, "the server closed the connection"},
	{"EOF within a message", func(p *peer) { p.send([]byte{9, 0, 8}); p.conn.Close() }, "within a message"},
	{"reset", func(p *peer) { p.conn.Reset() }, syscall.ECONNRESET.Error()},
	{"a message that does not decode", func(p *peer) { p.send([]byte{2, 0, 0xff}) }, "does not decode"},
	{"a length that is no number", func(p *peer) { p.send([]byte(strings.Repeat("\xff", 11))) }, "not a number"},
	{"goodbye", func(p *peer) {
		p.send(wire.AppendGoodbye(nil, &mld.Error{Code: mld.CodeLimitExceeded, Msg: "too many clients"}))
		p.conn.Close()
	}, "too many clients"},
	{"silence", func(*peer) {}, "KeepAliveTimeout"},
}

// TestResend loses a connection in each way with calls under way, and looks that
// they are sent again in the order in which they were issued.
func TestResend(t *testing.T) {
	for _, loss := range losses {
		t.Run(loss.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, c *Client, s *script) {
				p := s.accept()
				p.welcome(0, 0)
				var done []chan error
				for i := range 40 {
					done = append(done, start(put(c, fmt.Sprint(i))))
					if r := p.expect(wire.TagPut, fmt.Sprint(i)); i == 7 {
						p.ok(r)
						synctest.Wait()
					}
				}
				loss.cut(p)
				p = s.accept()
				for i := range done {
					if i != 7 {
						p.ok(p.expect(wire.TagPut, fmt.Sprint(i)))
					}
				}
				for i := range done {
					if err := <-done[i]; err != nil {
						t.Errorf("put %d: %v", i, err)
					}
				}
				if err := c.LastError(); err == nil || !strings.Contains(err.Error(), loss.cause) {
					t.Errorf("LastError = %v; want one with %q", err, loss.cause)
				}
			})
		})
	}
}

// TestNoRetry loses a connection in each way with a read and two writes under
// way, of which one cannot leave.
func TestNoRetry(t *testing.T) {
	for _, loss := range losses {
		t.Run(loss.name, func(t *testing.T) {
			bubble(t, &Options{NoRetry: true}, func(t *testing.T, c *Client, s *script) {
				p := s.accept()
				read, sent := start(get(c, "r")), start(put(c, "sent"))
				var stuck []chan error
				for range 3 { // the network holds one, the output another
					stuck = append(stuck, start(func() error {
						return c.Put(t.Context(), []byte("stuck"), make([]byte, highWater), nil)
					}))
				}
				loss.cut(p)
				err := <-read
				wantIs(t, "read", err, mld.ErrConnectionLost)
				if !strings.Contains(err.Error(), loss.cause) || !strings.Contains(err.Error(), `get "r"`) {
					t.Errorf("read: %v", err)
				}
				err = <-sent
				wantIs(t, "write that was sent", err, mld.ErrConnectionLost, mld.ErrOutcomeUnknown)
				if mld.OutcomeOf(err) != mld.Unknown {
					t.Errorf("the outcome of %v is known", err)
				}
				wantIs(t, "write that may have been sent", <-stuck[0], mld.ErrConnectionLost, mld.ErrOutcomeUnknown)
				for _, done := range stuck[1:] {
					err := <-done
					wantIs(t, "write that was not sent", err, mld.ErrConnectionLost, mld.ErrNotSent)
					if mld.OutcomeOf(err) != mld.NotApplied {
						t.Errorf("the outcome of %v is unknown", err)
					}
				}
				again := start(get(c, "again"))
				p = s.accept()
				r := p.expect(wire.TagGet, "again")
				p.send(wire.AppendValue(nil, r.ID, []byte("v")))
				if err := <-again; err != nil {
					t.Errorf("read on the next connection: %v", err)
				}
			})
		})
	}
	t.Run("refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			s.refuse.Store(true)
			c := New(s.dial, &Options{NoRetry: true})
			defer c.Close()
			synctest.Wait()
			wantIs(t, "read", get(c, "r")(), mld.ErrConnectionLost, errRefused)
			wantIs(t, "write", put(c, "w")(), mld.ErrConnectionLost, mld.ErrNotSent, errRefused)
			_, err := c.NewIterator(t.Context(), nil)
			wantIs(t, "iterator", err, mld.ErrConnectionLost, errRefused)
		})
	})
}

// TestBackoff counts the attempts at connections that are refused, and at those
// that are dropped at once.
func TestBackoff(t *testing.T) {
	for _, name := range []string{"refused", "dropped at once", "dropped after the welcome", "protocol error"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				s.refuse.Store(name == "refused")
				c := New(s.dial, &Options{BackoffMin: 10 * time.Millisecond, BackoffMax: 5 * time.Second})
				go put(c, "waits")()
				stop := make(chan struct{})
				go func() {
					for {
						select {
						case p := <-s.dialled:
							switch name {
							case "dropped after the welcome":
								p.welcome(0, 0)
							case "protocol error":
								p.send([]byte{1, 0})
							}
							synctest.Wait()
							p.conn.Close()
						case <-stop:
							return
						}
					}
				}()
				time.Sleep(time.Minute)
				// 10, 20, 40 … 5,120 ms are ten attempts in ten seconds at the
				// most, then at least one each five.
				if n := s.dials.Load(); n < 15 || n > 40 {
					t.Errorf("%d attempts in a minute", n)
				}
				if name == "refused" && !errors.Is(c.LastError(), errRefused) {
					t.Errorf("LastError = %v", c.LastError())
				}
				close(stop)
				c.Close()
			})
		})
	}
}

// TestBackoffReset looks that a connection that was of use is followed soon.
func TestBackoffReset(t *testing.T) {
	bubble(t, &Options{BackoffMax: time.Hour}, func(t *testing.T, c *Client, s *script) {
		for range 100 {
			done := start(get(c, "k"))
			p := s.accept()
			p.send(wire.AppendValue(nil, p.expect(wire.TagGet, "k").ID, []byte("v")))
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			before := time.Now()
			p.conn.Close()
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
			if len(s.dialled) != 1 {
				t.Fatalf("no new connection after %v", time.Since(before))
			}
		}
	})
}

// TestContexts ends the contexts of calls in every place.
func TestContexts(t *testing.T) {
	cancelled := func() (context.Context, func()) { return context.WithCancel(context.Background()) }
	t.Run("away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			s.refuse.Store(true)
			c := New(s.dial, nil)
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Get(ctx, []byte("k"))
			wantIs(t, "read", err, context.DeadlineExceeded)
			if !strings.Contains(err.Error(), errRefused.Error()) {
				t.Errorf("read: %v; want why there is no connection", err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err = c.Put(ctx, []byte("k"), nil, nil)
			wantIs(t, "write", err, context.DeadlineExceeded, mld.ErrNotSent)
			wantNot(t, "write", err, mld.ErrOutcomeUnknown)
			_, err = c.NewIterator(ctx, nil)
			wantIs(t, "iterator", err, context.DeadlineExceeded)
			wantIs(t, "WaitReady", c.WaitReady(ctx), context.DeadlineExceeded)
			if !c.IsFlushed() {
				t.Error("calls that ended are still pending")
			}
		})
	})
	t.Run("there again and silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			s.refuse.Store(true)
			c := New(s.dial, nil)
			defer c.Close()
			synctest.Wait()
			s.refuse.Store(false)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Get(ctx, []byte("k"))
			wantIs(t, "read", err, context.DeadlineExceeded)
			if c.State() != Ready || !strings.Contains(err.Error(), errRefused.Error()) {
				t.Errorf("read: %v, and the client is %v; want why there was no connection before", err, c.State())
			}
		})
	})
	t.Run("sent", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, c *Client, s *script) {
			p := s.accept()
			ctx, cancel := cancelled()
			read := start(func() error { _, err := c.Get(ctx, []byte("r")); return err })
			write := start(func() error { return c.Delete(ctx, []byte("w"), nil) })
			r, w := p.expect(wire.TagGet, "r"), p.expect(wire.TagDelete, "w")
			cancel()
			if err := <-read; err != context.Canceled {
				t.Errorf("read: %v", err)
			}
			err := <-write
			wantIs(t, "write", err, context.Canceled, mld.ErrOutcomeUnknown)
			wantNot(t, "write", err, mld.ErrNotSent)

			// The answers come late, and reach nobody.
			later := start(get(c, "later"))
			p.send(wire.AppendValue(wire.AppendOK(nil, w.ID), r.ID, []byte("late")))
			p.send(wire.AppendValue(nil, p.expect(wire.TagGet, "later").ID, []byte("v")))
			if err := <-later; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("not sent", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, c *Client, s *script) {
			p := s.accept()
			// The first fills the network, the second waits in the output.
			first := start(func() error { return c.Put(t.Context(), []byte("first"), make([]byte, 100<<10), nil) })
			ctx, cancel := cancelled()
			second := start(func() error { return c.Put(ctx, []byte("second"), []byte("v"), nil) })
			third := start(put(c, "third"))
			cancel()
			err := <-second
			wantIs(t, "write", err, context.Canceled, mld.ErrNotSent)
			p.ok(p.expect(wire.TagPut, "first"))
			p.ok(p.expect(wire.TagPut, "third")) // and no second
			if err := errors.Join(<-first, <-third); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestBounds exceeds what may wait while there is no connection.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.refuse.Store(true)
		c := New(s.dial, &Options{MaxPending: 3, MaxPendingBytes: 100})
		first := start(put(c, "k"))
		err := c.Put(t.Context(), []byte("k"), make([]byte, 98), nil)
		wantIs(t, "too many bytes", err, mld.ErrLimitExceeded)
		if !strings.Contains(err.Error(), "MaxPendingBytes") {
			t.Errorf("%v; want the name of the option", err)
		}
		second := start(put(c, "k"))
		third := start(func() error { _, err := c.NewIterator(t.Context(), nil); return err })
		err = get(c, "k")()
		wantIs(t, "too many calls", err, mld.ErrLimitExceeded)
		if !strings.Contains(err.Error(), "MaxPending)") {
			t.Errorf("%v; want the name of the option", err)
		}
		c.Close()
		for _, done := range []chan error{first, second, third} {
			wantIs(t, "Close", <-done, mld.ErrClosed)
		}
	})
}

// TestSlowServer has a server that does not read: callers wait, and what waits
// in memory does not grow with their number. They leave when their context ends.
func TestSlowServer(t *testing.T) {
	bubble(t, &Options{KeepAliveInterval: -1}, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		ctx, cancel := context.WithCancel(t.Context())
		const n, size = 200, 64 << 10
		done := make(chan error, n)
		for range n {
			go func() { done <- c.Put(ctx, []byte("k"), make([]byte, size), nil) }()
		}
		synctest.Wait()
		c.mu.Lock()
		if out := len(c.conn.out); out > highWater+2*size {
			t.Errorf("%d bytes wait in memory", out)
		}
		c.mu.Unlock()
		for range n / 2 {
			p.ok(p.expect(wire.TagPut, "k"))
		}
		synctest.Wait()
		cancel()
		answered := 0
		for range n {
			if err := <-done; err == nil {
				answered++
			} else {
				wantIs(t, "write", err, context.Canceled)
			}
		}
		if answered != n/2 || !c.IsFlushed() {
			t.Errorf("%d of %d answered, flushed %t", answered, n/2, c.IsFlushed())
		}
	})
}

// TestKeepAlive looks that an idle connection is asked for a sign of life, that
// any byte is one, and that silence is found in time.
func TestKeepAlive(t *testing.T) {
	bubble(t, &Options{KeepAliveInterval: 4 * time.Second, KeepAliveTimeout: 10 * time.Second}, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		start := time.Now()
		for range 3 { // answers
			r := p.next()
			if r.Tag != wire.TagGetMany || len(r.Keys) != 0 {
				t.Fatalf("the client asks %+v", r)
			}
			p.send(wire.AppendMany(nil, r.ID, nil))
		}
		if d := time.Since(start); d < 12*time.Second || d > 16*time.Second {
			t.Errorf("asked three times in %v", d)
		}
		busy := make(chan error, 1)
		go func() { busy <- get(c, "slow")() }()
		r := p.expect(wire.TagGet, "slow")
		for range 20 { // a server that is busy for long
			time.Sleep(3 * time.Second)
			p.send(wire.AppendHeartbeat(nil))
		}
		p.send(wire.AppendValue(nil, r.ID, []byte("v")))
		if err := <-busy; err != nil {
			t.Error(err)
		}
		start = time.Now()
		p.next() // the question, which is not answered
		if !p.ended() {
			t.Fatal("asked twice")
		}
		if d := time.Since(start); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("silence was found after %v", d)
		}
		synctest.Wait()
		if !strings.Contains(c.LastError().Error(), "KeepAliveTimeout") {
			t.Errorf("LastError = %v", c.LastError())
		}
	})
}

// TestDrain has a server that is about to close: what it was sent is awaited,
// what comes later goes elsewhere, and nothing is done twice.
func TestDrain(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		sent := start(put(c, "sent"))
		r := p.expect(wire.TagPut, "sent")
		p.send(wire.AppendDrain(nil))
		synctest.Wait()
		later := start(put(c, "later"))
		next := s.accept()
		next.ok(next.expect(wire.TagPut, "later"))
		if err := <-later; err != nil {
			t.Error(err)
		}
		p.ok(r)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if !p.ended() {
			t.Error("the client goes on on the connection")
		}
		synctest.Wait()
		if s := c.State(); s != Ready {
			t.Errorf("state %v", s)
		}
	})
}

// TestDrainLost loses the connection of a draining server before it answered.
func TestDrainLost(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		sent := start(put(c, "sent"))
		p.expect(wire.TagPut, "sent")
		p.send(wire.AppendDrain(nil))
		next := s.accept()
		p.conn.Close()
		next.ok(next.expect(wire.TagPut, "sent"))
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// TestIDs uses up the ids of connections, of calls and of iterators.
func TestIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c := newClient(s.dial, nil)
		c.firstID = maxID - 1
		c.start()
		defer c.Close()
		for i := range 7 {
			done := start(put(c, fmt.Sprint(i)))
			var p *peer
			if i%2 == 0 {
				p = s.accept()
				s.dialled <- p
			}
			p = <-s.dialled
			r := p.expect(wire.TagPut, fmt.Sprint(i))
			if want := uint32(maxID - 1 + i%2); r.ID != want {
				t.Errorf("call %d has the id %d; want %d", i, r.ID, want)
			}
			p.ok(r)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				s.dialled <- p
			}
		}
		for i := range 5 {
			opened := start(func() error {
				it, err := c.NewIterator(t.Context(), nil)
				if err == nil {
					it.Close()
				}
				return err
			})
			var p *peer
			if i%2 == 0 {
				if i > 0 {
					p = s.accept()
				} else {
					p = <-s.dialled
				}
			} else {
				p = <-s.dialled
				if r := p.next(); r.Tag != wire.TagIteratorClose {
					t.Fatalf("%+v; want the close", r)
				}
			}
			r := p.next()
			if want := uint32(maxID - 1 + i%2); r.Tag != wire.TagIterator || r.ID != want {
				t.Fatalf("%+v; want an iterator with the id %d", r, want)
			}
			p.send(wire.AppendIteratorEnd(nil, wire.ManyLevel, r.ID, 0))
			if err := <-opened; err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				s.dialled <- p
			}
		}
	})
}

// TestPeers has servers that answer what they should not.
func TestPeers(t *testing.T) {
	ctx := context.Background()
	many := func(c *Client) error { _, err := c.GetMany(ctx, [][]byte{{1}, {2}}); return err }
	for _, test := range []struct {
		name   string
		call   func(c *Client) error
		answer func(id uint32) []byte
		want   error
	}{
		{"no value", func(c *Client) error { return get(c, "k")() }, func(id uint32) []byte { return wire.AppendOK(nil, id) }, mld.ErrProtocol},
		{"too few values", many, func(id uint32) []byte { return wire.AppendMany(nil, id, [][]byte{{1}}) }, mld.ErrProtocol},
		{"an answer to something else", many, func(id uint32) []byte { return wire.AppendOK(nil, id) }, mld.ErrProtocol},
		{"too large", func(c *Client) error { return get(c, "k")() }, func(id uint32) []byte { return wire.AppendValue(nil, id, make([]byte, 5000)) }, mld.ErrLimitExceeded},
		{"entries too large", func(c *Client) error { _, err := c.NewIterator(ctx, nil); return err }, func(id uint32) []byte {
			var p wire.Page
			return p.End(p.Add(p.Begin(nil, wire.ManyLevel, id, 0), []byte("k"), make([]byte, 5000)))
		}, mld.ErrLimitExceeded},
		{"an error", put2, func(id uint32) []byte {
			return wire.AppendError(nil, wire.ManyLevel, id, &mld.Error{Code: mld.CodeRefused, Msg: "no puts today"})
		}, mld.ErrRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, &Options{MaxFrame: 4096}, func(t *testing.T, c *Client, s *script) {
				p := s.accept()
				// Ids that nobody uses, tags that nobody knows, empty frames.
				p.send(wire.AppendOK(nil, 77))
				p.send(wire.AppendIteratorEnd(nil, wire.ManyLevel, 78, 0))
				p.send([]byte{0, 0, 3, 99, 1, 2, 0})
				done := start(func() error { return test.call(c) })
				r := p.next()
				p.send(test.answer(r.ID))
				err := <-done
				wantIs(t, "call", err, test.want)
				if test.want == mld.ErrRefused && err.Error() != `put "k": refused: no puts today` {
					t.Errorf("%v", err)
				}
				// The connection goes on.
				again := start(put(c, "again"))
				for r = p.next(); r.Tag == wire.TagIteratorClose; r = p.next() {
				}
				p.ok(r)
				if err := <-again; err != nil || s.dials.Load() != 1 {
					t.Errorf("after it: %v, %d dials", err, s.dials.Load())
				}
			})
		})
	}
}

func put2(c *Client) error { return put(c, "k")() }

// TestMaxFrame sends what is larger than the server reads.
func TestMaxFrame(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		// So large that it is not sent before the welcome.
		large := start(func() error { return c.Put(t.Context(), []byte("k"), make([]byte, 2<<20), nil) })
		r := p.next()
		if r.Tag != wire.TagGetMany {
			t.Fatalf("sent %s", wire.TagName(r.Tag))
		}
		p.welcome(0, 1000)
		p.send(wire.AppendMany(nil, r.ID, nil))
		err := <-large
		wantIs(t, "large write", err, mld.ErrLimitExceeded)
		if mld.OutcomeOf(err) != mld.NotApplied {
			t.Errorf("the outcome of %v is unknown", err)
		}
		frame := func(n int) func() error {
			return func() error { return c.Put(t.Context(), []byte("k"), make([]byte, n), nil) }
		}
		const overhead = 1 + 2 + 3 + 3 // tag, id, key, head of the value
		wantIs(t, "a byte too large", frame(1001-overhead)(), mld.ErrLimitExceeded)
		fits := start(frame(1000 - overhead))
		p.ok(p.expect(wire.TagPut, "k"))
		if err := <-fits; err != nil {
			t.Error(err)
		}
	})
}

// TestUnsupported asks a host of the npm packages for what it has not: it
// answers without a welcome, and the connection goes on.
func TestUnsupported(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		stats := start(func() error { _, err := c.Stats(t.Context()); return err })
		r := p.next()
		if r.Tag != wire.TagGetMany || len(r.Keys) != 0 {
			t.Fatalf("sent %+v", r)
		}
		p.send(wire.AppendMany(nil, r.ID, nil))
		wantIs(t, "Stats", <-stats, mld.ErrUnsupported)
		_, err := c.NewSnapshot(t.Context())
		wantIs(t, "NewSnapshot", err, mld.ErrUnsupported)
	})
}

// TestSnapshotLost loses the connection of a snapshot, and one under which it
// is being taken.
func TestSnapshotLost(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		var snap mld.Snapshot
		taken := start(func() (err error) { snap, err = c.NewSnapshot(t.Context()); return err })
		s.accept().conn.Close()
		p := s.accept()
		p.welcome(wire.FeatureSnapshots, 0)
		p.send(wire.AppendMany(nil, p.next().ID, nil))
		r := p.next()
		if r.Tag != wire.TagSnapshotOpen {
			t.Fatalf("sent %+v", r)
		}
		number := r.Snapshot
		p.ok(r)
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		get := func() error { _, err := snap.Get(t.Context(), []byte("k")); return err }
		read := start(get)
		if r := p.expect(wire.TagGet, "k"); r.Snapshot != number {
			t.Errorf("read from snapshot %d", r.Snapshot)
		}
		p.conn.Close()
		wantIs(t, "read that was sent", <-read, mld.ErrSnapshotLost)
		wantIs(t, "later read", get(), mld.ErrSnapshotLost)
		_, err := snap.NewIterator(t.Context(), nil)
		wantIs(t, "later iterator", err, mld.ErrSnapshotLost)
		if err := snap.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestClose closes a client with calls in every place.
func TestClose(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		read, sent := start(get(c, "r")), start(put(c, "sent"))
		p.expect(wire.TagGet, "r")
		p.expect(wire.TagPut, "sent")
		full := start(func() error { return c.Put(t.Context(), nil, make([]byte, 1<<20), nil) })
		unsent := start(put(c, "unsent"))
		iterator := start(func() error { _, err := c.NewIterator(t.Context(), nil); return err })
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		wantIs(t, "read", <-read, mld.ErrClosed)
		wantIs(t, "write that was sent", <-sent, mld.ErrClosed, mld.ErrOutcomeUnknown)
		wantIs(t, "write that was being sent", <-full, mld.ErrClosed)
		wantIs(t, "write that was not sent", <-unsent, mld.ErrClosed, mld.ErrNotSent)
		wantIs(t, "iterator", <-iterator, mld.ErrClosed)
		wantIs(t, "WaitReady", c.WaitReady(t.Context()), mld.ErrClosed)
		if s := c.State(); s != Closed {
			t.Errorf("state %v", s)
		}
	})
}

// TestStates watches the states of a client's life.
func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.refuse.Store(true)
		var seen []string
		c := New(s.dial, &Options{Events: Events{OnState: func(s State, err error) {
			seen = append(seen, fmt.Sprint(s, " ", err))
		}}})
		if s := c.State(); s != Connecting {
			t.Errorf("state %v", s)
		}
		ready := start(func() error { return c.WaitReady(t.Context()) })
		_, changed := c.Watch()
		time.Sleep(time.Second)
		select {
		case <-changed:
			t.Error("the state changed without a connection")
		default:
		}
		s.refuse.Store(false)
		if err := <-ready; err != nil {
			t.Fatal(err)
		}
		<-changed
		p := s.accept()
		flushed := start(func() error { return c.WaitFlushed(t.Context()) })
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		done := start(put(c, "k"))
		flushed = start(func() error { return c.WaitFlushed(t.Context()) })
		if c.IsFlushed() || len(flushed) > 0 {
			t.Error("flushed with a call under way")
		}
		p.ok(p.expect(wire.TagPut, "k"))
		if err := errors.Join(<-done, <-flushed); err != nil {
			t.Error(err)
		}
		p.conn.Close()
		s.accept()
		synctest.Wait()
		c.Close()
		lost := "the server closed the connection"
		want := []string{"ready " + errRefused.Error(), "reconnecting " + lost, "ready " + lost, "closed " + lost}
		if !slices.Equal(seen, want) {
			t.Errorf("states %q; want %q", seen, want)
		}
	})
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Dialect: 9},
		{BackoffMin: time.Hour, BackoffMax: time.Minute},
		{DialTimeout: -1},
		{MaxPending: -1},
		{MaxFrame: -1},
		{KeepAliveInterval: time.Minute, KeepAliveTimeout: time.Second},
	} {
		wantIs(t, fmt.Sprintf("%+v", o), o.Validate(), mld.ErrInvalidArgument)
	}
	for _, o := range []*Options{nil, {}, {BackoffMin: time.Hour}, {KeepAliveInterval: time.Minute}, {KeepAliveInterval: -1}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestDialTimeout has a dial that never returns by itself.
func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		c := New(func(ctx context.Context) (io.ReadWriteCloser, error) {
			dials++
			<-ctx.Done()
			return nil, ctx.Err()
		}, &Options{DialTimeout: time.Second})
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if dials != 2 || !errors.Is(c.LastError(), context.DeadlineExceeded) {
			t.Errorf("%d dials, %v", dials, c.LastError())
		}
		c.Close()
	})
}

// TestCallTable compares the table of calls with a map, with calls that stay.
func TestCallTable(t *testing.T) {
	var table callTable
	want := map[uint32]*call{}
	for id := uint32(1); id < 20000; id++ {
		cl := &call{id: id}
		table.add(cl)
		want[id] = cl
		if id%100 != 0 && id > 20 {
			old := id - id%17
			if cl := want[old]; cl != nil && old%1000 != 0 {
				table.remove(cl)
				delete(want, old)
			}
			if cl := want[id]; cl != nil {
				table.remove(cl)
				delete(want, id)
			}
		}
		for _, probe := range []uint32{id, id - id%1000, id / 2, id + 1} {
			if table.find(probe) != want[probe] {
				t.Fatalf("at %d, find(%d) = %v; want %v", id, probe, table.find(probe), want[probe])
			}
		}
	}
	if table.n != len(want) || len(table.slots) > 8*len(want) {
		t.Errorf("%d calls in %d slots; want %d calls", table.n, len(table.slots), len(want))
	}
}
