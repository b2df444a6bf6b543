package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// expectNumbered returns the next message, which must be a put of a key with a
// number and a watermark.
func (p *peer) expectNumbered(key string, n, watermark uint64) *wire.Request {
	p.t.Helper()
	r := p.expect(wire.TagPut, key)
	if r.N != n || r.Watermark != watermark {
		p.t.Fatalf("put %q has the number %d and the watermark %d; want %d and %d", key, r.N, r.Watermark, n, watermark)
	}
	return r
}

// quiet checks that the client sends nothing now.
func (p *peer) quiet(what string) {
	p.t.Helper()
	synctest.Wait()
	p.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	if body, err := p.frames.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Errorf("%s: the client sent %q, %v", what, body, err)
	}
	p.conn.SetReadDeadline(time.Time{})
	p.frames = wire.NewFrameReader(p.conn, 1<<20) // the old one is done
}

// answerQuestion answers the client's question for a sign.
func (p *peer) answerQuestion() {
	p.t.Helper()
	r := p.expect(wire.TagGetMany, "")
	p.send(wire.AppendMany(nil, r.ID, nil))
}

func (p *peer) lose(r *wire.Request) {
	p.t.Helper()
	p.send(wire.AppendError(nil, wire.ManyLevel, r.ID, &mld.Error{Code: mld.CodeSessionLost, Msg: "it has expired"}))
}

func wantDone(t *testing.T, calls ...chan error) {
	t.Helper()
	for i, done := range calls {
		if err := <-done; err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// TestNumbers looks at numbers and watermarks over answers out of order, a lost
// connection and a resend.
func TestNumbers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		id := p.hello.Client
		if id == (wire.ClientID{}) || !p.hello.Session || p.hello.Answered {
			t.Fatalf("the client says hello with %+v", p.hello)
		}
		a := start(put(c, "a")) // before the welcome
		ra := p.expectNumbered("a", 1, 0)
		p.welcomeTo(1, 1, 0)
		b, read, d := start(put(c, "b")), start(get(c, "c")), start(put(c, "d"))
		rb := p.expectNumbered("b", 2, 0)
		p.expect(wire.TagGet, "c")
		p.expectNumbered("d", 3, 0)
		p.ok(rb)
		wantDone(t, b)
		e := start(put(c, "e"))
		p.expectNumbered("e", 4, 0)
		p.ok(ra)
		wantDone(t, a)
		f := start(put(c, "f"))
		p.expectNumbered("f", 5, 2)
		p.conn.Reset()

		p = s.accept()
		if p.hello.Client != id || !p.hello.Session || !p.hello.Answered {
			t.Errorf("the client says hello again with %+v", p.hello)
		}
		r := p.expect(wire.TagGet, "c")
		p.expect(wire.TagGetMany, "") // no write before it is known whose server this is
		p.quiet("before the welcome")
		p.welcomeTo(1, 2, 0)
		p.send(wire.AppendValue(nil, r.ID, []byte("v")))
		rd, re := p.expectNumbered("d", 3, 2), p.expectNumbered("e", 4, 2)
		p.ok(p.expectNumbered("f", 5, 2))
		g := start(put(c, "g"))
		rg := p.expectNumbered("g", 6, 2)
		p.ok(rd)
		p.ok(re)
		p.ok(rg)
		wantDone(t, read, d, e, f, g)
	})
}

// TestNumbersLeftOut takes back writes that have not left: their numbers are
// left out, and never come late.
func TestNumbersLeftOut(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		p.welcomeTo(1, 1, 0)
		synctest.Wait()
		// The first fills the network, the others wait in the output.
		first := start(func() error { return c.Put(t.Context(), []byte("first"), make([]byte, 100<<10), nil) })
		ctx, cancel := context.WithCancel(t.Context())
		second := start(func() error { return c.Put(ctx, []byte("second"), []byte("v"), nil) })
		third := start(put(c, "third"))
		cancel()
		wantIs(t, "write", <-second, context.Canceled, mld.ErrNotSent)
		p.ok(p.expectNumbered("first", 1, 0))
		r := p.expect(wire.TagPut, "third")
		if r.N != 3 || r.Watermark != 0 {
			t.Errorf("number %d, watermark %d", r.N, r.Watermark)
		}
		p.ok(r)
		wantDone(t, first, third)
		fourth := start(put(c, "fourth"))
		p.ok(p.expectNumbered("fourth", 4, 3))
		wantDone(t, fourth)
	})
}

// TestWindow has more writes under way than the server allows, and a read that
// comes behind them.
func TestWindow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		p.welcomeTo(1, 1, 2)
		synctest.Wait()
		var calls []chan error
		for i := range 4 {
			calls = append(calls, start(put(c, fmt.Sprint(i))))
		}
		calls = append(calls, start(get(c, "r")))
		r0, r1 := p.expectNumbered("0", 1, 0), p.expectNumbered("1", 2, 0)
		p.quiet("a full window")
		p.ok(r1)
		p.quiet("a window whose first number is not answered")
		p.ok(r0)
		p.ok(p.expectNumbered("2", 3, 2))
		p.ok(p.expect(wire.TagPut, "3"))
		p.send(wire.AppendValue(nil, p.expect(wire.TagGet, "r").ID, []byte("v")))
		wantDone(t, calls...)
	})
}

// TestDrainInOrder has a server with sessions drain: the client's next
// connection, which would cut the old one, waits for the answers.
func TestDrainInOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		p.welcomeTo(1, 1, 0)
		synctest.Wait()
		a := start(put(c, "a"))
		r := p.expectNumbered("a", 1, 0)
		p.send(wire.AppendDrain(nil))
		b := start(put(c, "b"))
		time.Sleep(time.Second)
		if len(s.dialled) > 0 {
			t.Fatal("the client connects with a write under way")
		}
		p.ok(r)
		wantDone(t, a)
		p = s.accept()
		p.welcomeTo(1, 2, 0)
		p.answerQuestion()
		p.ok(p.expectNumbered("b", 2, 1))
		wantDone(t, b)
	})
}

// TestAbandoned ends the contexts of writes that were sent, which go on until
// they are settled, with the bytes that they had.
func TestAbandoned(t *testing.T) {
	bubble(t, &Options{MaxPendingBytes: 1000}, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		p.welcomeTo(1, 1, 0)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		key, value, op := []byte("put"), []byte("value"), []byte("op")
		abandoned := start(func() error { return c.Put(ctx, key, value, nil) })
		var b mld.Batch
		b.Put(op, value)
		batch := start(func() error { return c.Apply(ctx, &b, nil) })
		cleared := start(func() error { return c.Clear(ctx, mld.Range{GT: op, Limit: 3}, nil) })
		cancel()
		wantIs(t, "put", <-abandoned, context.Canceled, mld.ErrOutcomeUnknown)
		wantIs(t, "batch", <-batch, context.Canceled, mld.ErrOutcomeUnknown)
		wantIs(t, "clear", <-cleared, context.Canceled, mld.ErrOutcomeUnknown)
		for _, p := range [][]byte{key, value, op} {
			clear(p)
		}
		if c.IsFlushed() {
			t.Error("flushed with writes unsettled")
		}
		wantIs(t, "too many bytes", c.Put(t.Context(), []byte("k"), make([]byte, 990), nil), mld.ErrLimitExceeded)
		later := start(put(c, "later"))
		p.conn.Close()

		p = s.accept()
		p.welcomeTo(1, 2, 0)
		p.answerQuestion()
		r := p.expectNumbered("put", 1, 0)
		if string(r.Value) != "value" {
			t.Errorf("sent again with %q", r.Value)
		}
		p.ok(r)
		if r = p.next(); r.Tag != wire.TagBatch || r.N != 2 || string(r.Ops[0].Key) != "op" || string(r.Ops[0].Value) != "value" {
			t.Errorf("sent again: %+v", r)
		}
		p.ok(r)
		if r = p.next(); r.Tag != wire.TagClear || r.N != 3 || string(r.Range.GT) != "op" || r.Range.Limit != 3 {
			t.Errorf("sent again: %+v", r)
		}
		p.ok(r)
		p.ok(p.expect(wire.TagPut, "later"))
		wantDone(t, later)
		if err := c.WaitFlushed(t.Context()); err != nil {
			t.Error(err)
		}
		if c.detachedBytes != 0 || c.pendingBytes != 0 || c.session.head != nil {
			t.Errorf("%d and %d bytes are left", c.detachedBytes, c.pendingBytes)
		}
	})
}

// TestSessionLost loses a session in each way, with a write that was sent before
// and one that was not.
func TestSessionLost(t *testing.T) {
	for _, test := range []struct {
		name  string
		lose  func(p *peer, s *script) *peer // returns where the client goes on
		again bool                           // in a new session
		words string
	}{
		{"expired", func(p *peer, s *script) *peer {
			p.welcomeTo(1, 2, 0)
			p.answerQuestion()
			p.lose(p.expectNumbered("sent", 2, 1))
			p = s.accept()
			p.welcomeTo(1, 2, 0)
			return p
		}, true, "it has expired"},
		{"another store", func(p *peer, s *script) *peer {
			p.welcomeTo(2, 2, 0)
			p = s.accept()
			p.welcomeTo(2, 2, 0)
			return p
		}, true, "another store"},
		{"no sessions", func(p *peer, s *script) *peer {
			p.welcome(0, 0)
			p.answerQuestion()
			return p
		}, false, "has no sessions"},
		{"no welcome", func(p *peer, s *script) *peer {
			p.answerQuestion()
			return p
		}, false, "has no sessions"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, c *Client, s *script) {
				p := s.accept()
				p.welcomeTo(1, 1, 0)
				id := p.hello.Client
				first := start(put(c, "first"))
				p.ok(p.expectNumbered("first", 1, 0))
				wantDone(t, first)
				sent := start(put(c, "sent"))
				p.expectNumbered("sent", 2, 1)
				s.refuse.Store(true)
				p.conn.Close()
				synctest.Wait()
				fresh, read := start(put(c, "fresh")), start(get(c, "r"))
				s.refuse.Store(false)

				last := test.lose(s.accept(), s)
				err := <-sent
				wantIs(t, "write that was sent", err, mld.ErrOutcomeUnknown, mld.ErrSessionLost)
				wantNot(t, "write that was sent", err, mld.ErrNotSent)
				for _, words := range []string{`put "sent"`, "write 2 ", fmt.Sprintf("%x", id), test.words} {
					if !strings.Contains(err.Error(), words) {
						t.Errorf("%v; want %q in it", err, words)
					}
				}
				var n, watermark uint64
				if test.again {
					n = 1
					if last.hello.Client == id || last.hello.Answered {
						t.Errorf("the client goes on with %+v", last.hello)
					}
				}
				last.ok(last.expectNumbered("fresh", n, watermark))
				last.send(wire.AppendValue(nil, last.expect(wire.TagGet, "r").ID, []byte("v")))
				wantDone(t, fresh, read)
			})
		})
	}
}

// TestSessionExpired finds a session expired by a write that was never sent
// before: it goes into a new session, unless nothing is sent again.
func TestSessionExpired(t *testing.T) {
	for _, noRetry := range []bool{false, true} {
		t.Run(fmt.Sprintf("no retry %t", noRetry), func(t *testing.T) {
			bubble(t, &Options{NoRetry: noRetry}, func(t *testing.T, c *Client, s *script) {
				p := s.accept()
				p.welcomeTo(1, 1, 0)
				first := start(put(c, "first"))
				p.ok(p.expectNumbered("first", 1, 0))
				wantDone(t, first)
				p.conn.Close()
				p = s.accept()
				p.welcomeTo(1, 1, 0)
				synctest.Wait()
				a, read, b := start(put(c, "a")), start(get(c, "r")), start(put(c, "b"))
				ra := p.expectNumbered("a", 2, 1)
				p.expect(wire.TagGet, "r")
				rb := p.expectNumbered("b", 3, 1)
				p.lose(ra)
				p.conn.Write(wire.AppendError(nil, wire.ManyLevel, rb.ID, mld.ErrSessionLost))
				if noRetry {
					wantIs(t, "first write", <-a, mld.ErrSessionLost, mld.ErrNotSent)
					wantIs(t, "second write", <-b, mld.ErrSessionLost, mld.ErrNotSent)
					wantIs(t, "read", <-read, mld.ErrConnectionLost)
				}
				p = s.accept()
				p.welcomeTo(1, 1, 0)
				if noRetry {
					return
				}
				p.ok(p.expectNumbered("a", 1, 0))
				p.send(wire.AppendValue(nil, p.expect(wire.TagGet, "r").ID, []byte("v")))
				p.ok(p.expect(wire.TagPut, "b"))
				wantDone(t, a, read, b)
			})
		})
	}
}

// TestNoSessions writes to servers without sessions: numbers are ignored, and
// what is lost is done at least once.
func TestNoSessions(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		ctx, cancel := context.WithCancel(t.Context())
		a, b := start(put(c, "a")), start(func() error { return c.Put(ctx, []byte("b"), nil, nil) })
		d := start(put(c, "d"))
		ra := p.expectNumbered("a", 1, 0)
		p.expectNumbered("b", 2, 0)
		p.expectNumbered("d", 3, 0)
		cancel()
		wantIs(t, "b", <-b, mld.ErrOutcomeUnknown)
		p.ok(ra)
		wantDone(t, a)
		e := start(put(c, "e"))
		p.expectNumbered("e", 0, 0)
		p.conn.Close()
		p = s.accept()
		p.ok(p.expect(wire.TagPut, "d")) // and b, of which nobody waits for the outcome, no more
		p.ok(p.expect(wire.TagPut, "e"))
		wantDone(t, d, e)
	})
}

// TestRequire requires sessions of servers that have them and that have not.
func TestRequire(t *testing.T) {
	bubble(t, &Options{ExactlyOnce: ExactlyOnceRequire}, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		a, b := start(put(c, "a")), start(put(c, "b"))
		p.answerQuestion() // without a welcome
		for _, done := range []chan error{a, b} {
			err := <-done
			wantIs(t, "write to a host of npm", err, mld.ErrUnsupported)
			if mld.OutcomeOf(err) != mld.NotApplied || !strings.Contains(err.Error(), "ExactlyOnce") {
				t.Errorf("%v", err)
			}
		}
		wantIs(t, "another write", put(c, "c")(), mld.ErrUnsupported)
		read := start(get(c, "r"))
		p.send(wire.AppendValue(nil, p.expect(wire.TagGet, "r").ID, []byte("v")))
		wantDone(t, read)
		p.quiet("Require")

		p.conn.Close()
		p = s.accept()
		a = start(put(c, "a"))
		p.send(wire.AppendWelcome(nil, &wire.Welcome{Version: 1, ReadOnly: true}))
		wantIs(t, "write to a read-only server", <-a, mld.ErrReadOnly)
		p.answerQuestion()
		p.quiet("Require")

		p.conn.Close()
		p = s.accept()
		a = start(put(c, "a"))
		p.answerQuestionAfter(func() { p.welcomeTo(1, 1, 0) })
		p.ok(p.expectNumbered("a", 1, 0))
		wantDone(t, a)
	})
}

// answerQuestionAfter answers the client's question after f, before which the
// client must send nothing else.
func (p *peer) answerQuestionAfter(f func()) {
	p.t.Helper()
	r := p.expect(wire.TagGetMany, "")
	p.quiet("before the welcome")
	f()
	p.send(wire.AppendMany(nil, r.ID, nil))
}

// TestOff numbers nothing.
func TestOff(t *testing.T) {
	bubble(t, &Options{ExactlyOnce: ExactlyOnceOff}, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		if p.hello.Session {
			t.Error("asked for a session")
		}
		p.welcomeTo(1, 1, 0)
		a := start(put(c, "a"))
		p.expectNumbered("a", 0, 0)
		p.conn.Close()
		p = s.accept()
		p.ok(p.expectNumbered("a", 0, 0))
		wantDone(t, a)
	})
}

// TestSessionEnd closes clients with and without writes, and does not wait for
// long.
func TestSessionEnd(t *testing.T) {
	for _, answers := range []bool{true, false} {
		bubble(t, nil, func(t *testing.T, c *Client, s *script) {
			p := s.accept()
			p.welcomeTo(1, 1, 0)
			a := start(put(c, "a"))
			p.ok(p.expectNumbered("a", 1, 0))
			wantDone(t, a)
			began := time.Now()
			closed := start(c.Close)
			if r := p.next(); r.Tag != wire.TagSessionEnd {
				t.Errorf("sent %+v", r)
			}
			if answers {
				p.answerQuestion()
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
			if d := time.Since(began); answers && d > 0 || d > time.Second {
				t.Errorf("closed after %v", d)
			}
		})
	}
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		p.welcomeTo(1, 1, 0)
		c.Close()
		if !p.ended() {
			t.Error("told of a session that was never used")
		}
	})
}
