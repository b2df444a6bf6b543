package client

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// page returns a many-level message with entries, whose values are their keys.
func entries(id, seq uint32, keys ...string) []byte {
	var p wire.Page
	out := p.Begin(nil, wire.ManyLevel, id, seq)
	for _, k := range keys {
		out = p.Add(out, []byte(k), []byte(k))
	}
	return p.End(out)
}

// open makes an iterator whose server p answers the opening with messages, and
// returns it with the opening.
func open(t *testing.T, c *Client, p *peer, o *mld.IterOptions, messages func(id uint32) []byte) (*Iterator, *wire.Request) {
	t.Helper()
	var it mld.Iterator
	done := start(func() (err error) { it, err = c.NewIterator(context.Background(), o); return err })
	r := p.next()
	p.send(messages(r.ID))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return it.(*Iterator), r
}

// next moves the iterator on and returns the key, or "end".
func next(t *testing.T, it *Iterator) string {
	t.Helper()
	if it.Next() {
		return string(it.Key())
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return "end"
}

func showRange(r *wire.Request) string {
	s := ""
	for _, b := range []struct {
		name  string
		bound []byte
	}{{"gt", r.Range.GT}, {"gte", r.Range.GTE}, {"lt", r.Range.LT}, {"lte", r.Range.LTE}} {
		if b.bound != nil {
			s += fmt.Sprintf("%s %s ", b.name, b.bound)
		}
	}
	if r.Limited {
		s += fmt.Sprintf("limit %d ", r.Range.Limit)
	}
	if r.ValuesOnly || r.Bookmark != nil || r.Consumed != 0 {
		s += "wrong "
	}
	return s
}

// TestResumeBounds loses the connection of an iterator after two entries were
// received, with one of them returned, and looks for what it is opened anew.
func TestResumeBounds(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	for _, test := range []struct {
		o           mld.IterOptions
		first, then string
		seek        string // before the loss
		sought      string // then
	}{
		{o: mld.IterOptions{}, then: "gt d ", sought: "gte c "},
		{o: mld.IterOptions{Range: mld.Range{GTE: b("a"), LT: b("x")}, ValuesOnly: true}, first: "gte a lt x ", then: "gt d lt x ", sought: "gte c lt x "},
		{o: mld.IterOptions{Range: mld.Range{GT: b("a"), GTE: b("a"), LTE: b("x"), Limit: 9}}, first: "gt a lte x limit 9 ", then: "gt d lte x limit 7 ", sought: "gte c lte x limit 9 "},
		{o: mld.IterOptions{Range: mld.Range{GTE: b("a"), LTE: b("x"), LT: b("x"), Reverse: true, Limit: 3}, KeysOnly: true}, first: "gte a lt x limit 3 ", then: "gte a lt d limit 1 ", sought: "gte a lte c limit 3 "},
	} {
		t.Run(test.then, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, c *Client, s *script) {
				data := func(id uint32, seq uint32) []byte {
					if test.o.KeysOnly {
						var p wire.Page
						return p.End(p.Add(p.Add(p.Begin(nil, wire.ManyLevel, id, seq), b("c"), nil), b("d"), nil))
					}
					return entries(id, seq, "c", "d")
				}
				p := s.accept()
				it, r := open(t, c, p, &test.o, func(id uint32) []byte { return data(id, 0) })
				if got := showRange(r); got != test.first {
					t.Errorf("opened for %s; want %s", got, test.first)
				}
				it.Next()
				p.conn.Close()
				p = s.accept()
				it.Next() // was received
				if it.Renewed() {
					t.Error("opened anew with an entry left")
				}
				done := start(func() error { it.Next(); return it.Err() })
				r = p.next()
				if got := showRange(r); got != test.then {
					t.Errorf("opened anew for %s; want %s", got, test.then)
				}
				p.send(wire.AppendIteratorEnd(nil, wire.ManyLevel, r.ID, 0))
				if err := <-done; err != nil || !it.Renewed() {
					t.Errorf("%v, renewed %t", err, it.Renewed())
				}
				it.Close()
				if r := p.next(); r.Tag != wire.TagIteratorClose {
					t.Errorf("sent %+v", r)
				}

				// The same after a seek, of which nothing was received.
				it, _ = open(t, c, p, &test.o, func(id uint32) []byte { return data(id, 0) })
				it.Seek(b("c"))
				done = start(func() error { it.Next(); return it.Err() })
				if r = p.next(); r.Tag != wire.TagIteratorSeek || r.Seq != 1 || string(r.Seek) != "c" {
					t.Errorf("sent %+v", r)
				}
				p.send(data(r.ID, 0)) // from before the seek
				p.conn.Close()
				p = s.accept()
				r = p.next()
				if got := showRange(r); got != test.sought {
					t.Errorf("opened anew for %s; want %s", got, test.sought)
				}
				p.send(wire.AppendIteratorEnd(nil, wire.ManyLevel, r.ID, 0))
				if err := <-done; err != nil {
					t.Error(err)
				}
				it.Close()
			})
		})
	}
}

// TestResumeNot loses the connection of iterators that need not, or must not,
// be opened anew.
func TestResumeNot(t *testing.T) {
	for _, test := range []struct {
		name   string
		o      mld.IterOptions
		answer func(id uint32) []byte
		want   error
	}{
		{"ended", mld.IterOptions{}, func(id uint32) []byte {
			return wire.AppendIteratorEnd(entries(id, 0, "a", "b"), wire.ManyLevel, id, 0)
		}, nil},
		{"limit", mld.IterOptions{Range: mld.Range{Limit: 2}}, func(id uint32) []byte { return entries(id, 0, "a", "b", "c") }, nil},
		{"strict", mld.IterOptions{Strict: true}, func(id uint32) []byte { return entries(id, 0, "a", "b") }, mld.ErrSnapshotLost},
		{"error", mld.IterOptions{}, func(id uint32) []byte {
			return wire.AppendIteratorError(entries(id, 0, "a", "b"), wire.ManyLevel, id, 0, mld.ErrCorruption)
		}, mld.ErrCorruption},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, c *Client, s *script) {
				p := s.accept()
				it, _ := open(t, c, p, &test.o, test.answer)
				p.conn.Close()
				p = s.accept()
				if got := []string{next(t, it), next(t, it)}; !slices.Equal(got, []string{"a", "b"}) {
					t.Errorf("walked %q", got)
				}
				more := start(func() error {
					if it.Next() {
						return fmt.Errorf("walked on to %q", it.Key())
					}
					return nil
				})
				if test.o.Strict { // asks whether the server has leases
					p.send(wire.AppendMany(nil, p.expect(wire.TagGetMany, "").ID, nil))
				}
				if err := <-more; err != nil {
					t.Error(err)
				}
				if test.want == nil && it.Err() != nil {
					t.Error(it.Err())
				} else if test.want != nil {
					wantIs(t, "Err", it.Err(), test.want)
				}
				if it.Renewed() {
					t.Error("renewed")
				}
				it.Close()
				p.conn.CloseWrite()
				if !p.ended() {
					t.Error("the client sent something")
				}
			})
		})
	}
}

// TestOpenLost loses the connection under NewIterator. The iterator has shown
// nothing yet, so it is none the worse.
func TestOpenLost(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		var it mld.Iterator
		done := start(func() (err error) {
			it, err = c.NewIterator(t.Context(), &mld.IterOptions{Strict: true})
			return err
		})
		p.next()
		p.conn.Reset()
		p = s.accept()
		p.send(entries(p.next().ID, 0, "a"))
		if err := <-done; err != nil || !it.Next() || it.(*Iterator).Renewed() {
			t.Errorf("%v, %q", err, it.Key())
		}
	})
}

// TestAcks looks that a message of entries is acknowledged when it is taken up,
// and never with more entries than were returned, and not after a seek.
func TestAcks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		it, r := open(t, c, p, nil, func(id uint32) []byte { return append(entries(id, 0, "a", "b"), entries(id, 0, "c")...) })
		if r.PageBytes != pageBytes {
			t.Errorf("asked for messages of %d bytes", r.PageBytes)
		}
		for i, key := range []string{"a", "b", "c"} {
			if got := next(t, it); got != key {
				t.Fatalf("came to %q; want %q", got, key)
			}
			if i != 1 {
				if r := p.next(); r.Tag != wire.TagIteratorAck || r.Consumed != uint64(i) || r.Seq != 0 {
					t.Errorf("at %s: sent %+v", key, r)
				}
			}
		}
		it.Seek([]byte("b"))
		moved := start(func() error { it.Next(); return it.Err() })
		if r := p.next(); r.Tag != wire.TagIteratorSeek || r.Seq != 1 {
			t.Errorf("sent %+v", r)
		}
		p.send(append(entries(r.ID, 0, "stale"), entries(r.ID, 1, "b")...))
		if err := <-moved; err != nil || string(it.Key()) != "b" {
			t.Errorf("came to %q, %v", it.Key(), err)
		}
		if r := p.next(); r.Tag != wire.TagIteratorAck || r.Consumed != 3 || r.Seq != 1 {
			t.Errorf("sent %+v", r)
		}
	})
}

// TestIteratorContext ends the context of an iterator that waits.
func TestIteratorContext(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		ctx, cancel := context.WithCancel(t.Context())
		var it mld.Iterator
		done := start(func() (err error) { it, err = c.NewIterator(ctx, nil); return err })
		r := p.next()
		p.send(entries(r.ID, 0, "a"))
		if err := <-done; err != nil || !it.Next() {
			t.Fatal(err)
		}
		p.next() // the acknowledgement
		done = start(func() error { it.Next(); return it.Err() })
		cancel()
		wantIs(t, "Next", <-done, context.Canceled)
		if closed := p.next(); closed.Tag != wire.TagIteratorClose || closed.ID != r.ID {
			t.Errorf("sent %+v", closed)
		}
	})
}

// TestTooManyPages has a server that sends more than was granted.
func TestTooManyPages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *Client, s *script) {
		p := s.accept()
		it, _ := open(t, c, p, nil, func(id uint32) []byte {
			var all []byte
			for range maxPages + 1 {
				all = append(all, entries(id, 0, "a")...)
			}
			return all
		})
		defer it.Close()
		s.accept()
		wantIs(t, "LastError", c.LastError(), mld.ErrProtocol)
	})
}
