package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// tcpPeer is the server's end of a TCP connection, played by a test: callers read
// only such streams themselves, and those are not for a bubble.
type tcpPeer struct {
	t      *testing.T
	conn   net.Conn
	frames *wire.FrameReader
}

// dialTCP returns a client and the other end of its connection.
func dialTCP(t *testing.T, o *Options) (*Client, *tcpPeer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var dialer net.Dialer
	c := New(func(ctx context.Context) (io.ReadWriteCloser, error) {
		return dialer.DialContext(ctx, "tcp", l.Addr().String())
	}, o)
	t.Cleanup(func() { c.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &tcpPeer{t, conn, wire.NewFrameReader(conn, 1<<20)}
	if id := p.next(); id != 0 {
		t.Fatalf("the connection begins with call %d, not with a hello", id)
	}
	p.send(wire.AppendWelcome(nil, &wire.Welcome{Version: 1}))
	return c, p
}

// next returns the id of the client's next message.
func (p *tcpPeer) next() uint32 {
	p.t.Helper()
	body, err := p.frames.Next()
	if err != nil {
		p.t.Errorf("reading the client's next message: %v", err)
		return 0
	}
	var r wire.Request
	if _, err := r.Decode(wire.ManyLevel, body, &wire.Limits{}); err != nil {
		p.t.Errorf("the client's message %q: %v", body, err)
	}
	return r.ID
}

func (p *tcpPeer) send(messages []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(messages); err != nil {
		p.t.Errorf("writing to the client: %v", err)
	}
}

// answer is an answer to a get.
type answer struct {
	value string
	err   error
}

func startGet(ctx context.Context, c *Client) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		value, err := c.Get(ctx, []byte("k"))
		got <- answer{string(value), err}
	}()
	return got
}

func wantAnswer(t *testing.T, got <-chan answer, want string) {
	t.Helper()
	if a := <-got; a.err != nil || a.value != want {
		t.Errorf("got %q, %v; want %q", a.value, a.err, want)
	}
}

// alone makes calls one at a time until the reader rests, and then one more, which
// its caller waits for with the turn. It returns the answer to that, and its id.
func alone(t *testing.T, ctx context.Context, c *Client, p *tcpPeer) (<-chan answer, uint32) {
	t.Helper()
	for range 1000 {
		got := startGet(ctx, c)
		id := p.next()
		c.mu.Lock()
		mine := c.conn.turn == callersTurn
		c.mu.Unlock()
		if mine {
			return got, id
		}
		p.send(wire.AppendValue(nil, id, []byte("v")))
		wantAnswer(t, got, "v")
	}
	t.Fatal("no caller ever read its answer itself")
	return nil, 0
}

func TestCallerReads(t *testing.T) {
	c, p := dialTCP(t, nil)
	got, id := alone(t, t.Context(), c, p)
	p.send(wire.AppendValue(nil, id, []byte("mine")))
	wantAnswer(t, got, "mine")
	got = startGet(t.Context(), c)
	p.send(wire.AppendValue(nil, p.next(), []byte("later")))
	wantAnswer(t, got, "later")
}

// TestOthersDuringTurn has calls come while a caller reads, and be answered first.
func TestOthersDuringTurn(t *testing.T) {
	c, p := dialTCP(t, nil)
	for range 20 {
		mine, id := alone(t, t.Context(), c, p)
		var others sync.WaitGroup
		for i := range 3 {
			others.Go(func() {
				if _, err := c.Get(t.Context(), fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
			})
		}
		for range 3 {
			p.send(wire.AppendValue(nil, p.next(), []byte("other")))
		}
		others.Wait()
		// One more waits when the caller has its answer and leaves.
		last := startGet(t.Context(), c)
		lastID := p.next()
		p.send(wire.AppendValue(nil, id, []byte("mine")))
		wantAnswer(t, mine, "mine")
		p.send(wire.AppendValue(nil, lastID, []byte("last")))
		wantAnswer(t, last, "last")
	}
}

// TestCancelDuringTurn has the context of a caller that reads end.
func TestCancelDuringTurn(t *testing.T) {
	c, p := dialTCP(t, nil)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		got, id := alone(t, ctx, c, p)
		p.send(wire.AppendValue(nil, id, []byte("v"))[:3]) // a part of an answer has come
		cancel()
		if a := <-got; !errors.Is(a.err, context.Canceled) {
			t.Fatalf("the call ended with %q, %v", a.value, a.err)
		}
		p.send(wire.AppendValue(nil, id, []byte("v"))[3:])
		got = startGet(t.Context(), c)
		p.send(wire.AppendValue(nil, p.next(), []byte("next")))
		wantAnswer(t, got, "next")
	}
}

// TestEndDuringTurn has the connection end, in several ways, under a caller that
// reads.
func TestEndDuringTurn(t *testing.T) {
	for _, way := range []struct {
		name string
		end  func(c *Client, p *tcpPeer)
		want error
	}{
		{"the other end closes", func(_ *Client, p *tcpPeer) { p.conn.Close() }, mld.ErrConnectionLost},
		{"the other end sends nonsense", func(_ *Client, p *tcpPeer) { p.send([]byte{2, wire.TagCallback, 255}) }, mld.ErrConnectionLost},
		{"the client is closed", func(c *Client, _ *tcpPeer) { c.Close() }, mld.ErrClosed},
	} {
		t.Run(way.name, func(t *testing.T) {
			c, p := dialTCP(t, &Options{NoRetry: true})
			got, _ := alone(t, t.Context(), c, p)
			way.end(c, p)
			if a := <-got; !errors.Is(a.err, way.want) {
				t.Errorf("the call ended with %q, %v; want %v", a.value, a.err, way.want)
			}
		})
	}
}

// TestEndDuringRest has the other end close the connection, and the client be
// closed, while nobody reads.
func TestEndDuringRest(t *testing.T) {
	t.Run("the other end closes", func(t *testing.T) {
		c, p := dialTCP(t, nil)
		got, id := alone(t, t.Context(), c, p)
		p.send(wire.AppendValue(nil, id, []byte("v")))
		wantAnswer(t, got, "v")
		p.conn.Close()
		for state, changed := c.Watch(); state == Ready; state, changed = c.Watch() {
			<-changed
		}
	})
	t.Run("the client is closed", func(t *testing.T) {
		c, p := dialTCP(t, nil)
		got, id := alone(t, t.Context(), c, p)
		p.send(wire.AppendValue(nil, id, []byte("v")))
		wantAnswer(t, got, "v")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestIteratorReads has who waits for the entries of an iterator read them itself,
// as often as the page is alone, with a call between them and one while it waits.
func TestIteratorReads(t *testing.T) {
	c, p := dialTCP(t, nil)
	opened := make(chan mld.Iterator, 1)
	go func() {
		it, err := c.NewIterator(t.Context(), nil)
		if err != nil {
			t.Error(err)
		}
		opened <- it
	}()
	id := p.next()
	page := func(key string) {
		var page wire.Page
		p.send(page.End(page.Add(page.Begin(nil, wire.ManyLevel, id, 0), []byte(key), []byte("v"))))
	}
	page("00000")
	it := <-opened
	defer it.Close()
	keys := make(chan string)
	next := make(chan struct{})
	go func() {
		for range next {
			if !it.Next() {
				t.Errorf("the iterator ended: %v", it.Err())
			}
			keys <- string(it.Key())
		}
	}()
	defer close(next)
	// take has the iterator take an entry that is sent only when it waits, and
	// reports whether it read that itself.
	take := func(key string) bool {
		t.Helper()
		next <- struct{}{}
		c.mu.Lock()
		for !it.(*Iterator).waiting {
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		mine := c.conn.turn == callersTurn
		c.mu.Unlock()
		page(key)
		if got := <-keys; got != key {
			t.Fatalf("the iterator is at %q, not at %q", got, key)
		}
		if got := p.next(); got != id {
			t.Fatalf("message %d came, not an acknowledgement", got)
		}
		return mine
	}
	next <- struct{}{}
	if got := <-keys; got != "00000" || p.next() != id {
		t.Fatalf("the iterator is at %q", got)
	}
	// More acknowledgements than would be in flight if none had been read.
	own := 0
	const pages = 4000
	for i := range pages {
		if take(fmt.Sprintf("%05d", i+1)) {
			own++
		}
	}
	if own < pages*9/10 {
		t.Errorf("the iterator read %d of %d pages itself", own, pages)
	}
	for range 20 {
		got := startGet(t.Context(), c)
		p.send(wire.AppendValue(nil, p.next(), []byte("between")))
		wantAnswer(t, got, "between")

		next <- struct{}{}
		got = startGet(t.Context(), c)
		p.send(wire.AppendValue(nil, p.next(), []byte("meanwhile")))
		wantAnswer(t, got, "meanwhile")
		page("last")
		if key := <-keys; key != "last" || p.next() != id {
			t.Fatalf("the iterator is at %q", key)
		}
	}
}

// TestCancelIterator has the context of an iterator end while it reads, with a part
// of a page there: another one finds the rest.
func TestCancelIterator(t *testing.T) {
	c, p := dialTCP(t, nil)
	for range 20 {
		mine, id := alone(t, t.Context(), c, p)
		p.send(wire.AppendValue(nil, id, []byte("v")))
		wantAnswer(t, mine, "v")
		ctx, cancel := context.WithCancel(t.Context())
		opened := make(chan error, 1)
		go func() {
			_, err := c.NewIterator(ctx, nil)
			opened <- err
		}()
		id = p.next()
		var page wire.Page
		message := page.End(page.Add(page.Begin(nil, wire.ManyLevel, id, 0), []byte("k"), []byte("v")))
		p.send(message[:5])
		cancel()
		if err := <-opened; !errors.Is(err, context.Canceled) {
			t.Fatalf("the iterator ended with %v", err)
		}
		p.send(message[5:])
		if closed := p.next(); closed != id {
			t.Fatalf("message %d came, not the close of %d", closed, id)
		}
	}
}
