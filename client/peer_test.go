package client

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/wire"
)

// A peer is the server's end of a connection, played by a test.
type peer struct {
	t      *testing.T
	conn   *memnet.Conn
	frames *wire.FrameReader
	d      wire.Dialect
	hello  wire.Request
}

// A script makes the server's ends of a client's connections: each dial waits
// in dialled. It is used within a bubble.
type script struct {
	t       *testing.T
	dialled chan *peer
	refuse  atomic.Bool // dials
	dials   atomic.Int32
}

var errRefused = errors.New("the test refuses")

func newScript(t *testing.T) *script { return &script{t: t, dialled: make(chan *peer, 100)} }

func (s *script) dial(context.Context) (io.ReadWriteCloser, error) {
	s.dials.Add(1)
	if s.refuse.Load() {
		return nil, errRefused
	}
	near, far := memnet.Pipe()
	s.dialled <- &peer{t: s.t, conn: far, frames: wire.NewFrameReader(far, 1<<20), d: wire.ManyLevel}
	return near, nil
}

// accept returns the next connection, after its hello.
func (s *script) accept() *peer {
	s.t.Helper()
	p := <-s.dialled
	r := p.next()
	if p.hello = *r; r.Tag != wire.TagHello || r.Version != wire.ProtocolVersion || r.Dialect != wire.ManyLevel {
		s.t.Fatalf("a connection begins with %+v", r)
	}
	return p
}

// next returns the next message of the client, in memory of its own.
func (p *peer) next() *wire.Request {
	p.t.Helper()
	body, err := p.frames.Next()
	if err != nil {
		p.t.Fatalf("reading the client's next message: %v", err)
	}
	var r wire.Request
	if _, err := r.Decode(p.d, append([]byte{}, body...), &wire.Limits{}); err != nil {
		p.t.Fatalf("the client's message %q: %v", body, err)
	}
	return &r
}

// expect returns the next message, which must have a tag and a key.
func (p *peer) expect(tag byte, key string) *wire.Request {
	p.t.Helper()
	r := p.next()
	if r.Tag != tag || string(r.Key) != key {
		p.t.Fatalf("the client sent %s %q; want %s %q", wire.TagName(r.Tag), r.Key, wire.TagName(tag), key)
	}
	return r
}

func (p *peer) send(messages []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(messages); err != nil {
		p.t.Fatalf("writing to the client: %v", err)
	}
}

func (p *peer) welcome(f wire.Features, maxFrame uint64) {
	p.t.Helper()
	p.send(wire.AppendWelcome(nil, &wire.Welcome{Version: 1, Features: f, MaxFrame: maxFrame}))
}

// welcomeTo welcomes a client to a store with sessions and leases, in a process
// with a number.
func (p *peer) welcomeTo(store byte, instance uint64, window uint32) {
	p.t.Helper()
	p.send(wire.AppendWelcome(nil, &wire.Welcome{
		Version: 1, Features: wire.FeatureSessions | wire.FeatureLeases | wire.FeatureSnapshots,
		Store: wire.ClientID{store}, Generation: 1, Instance: instance, Window: window, Lease: 1000,
	}))
}

func (p *peer) ok(r *wire.Request) { p.t.Helper(); p.send(wire.AppendOK(nil, r.ID)) }

// ended reports whether the client has closed the connection, having sent
// nothing more.
func (p *peer) ended() bool {
	_, err := p.frames.Next()
	return err == io.EOF
}

// bubble runs a test of a client against a script.
func bubble(t *testing.T, o *Options, test func(t *testing.T, c *Client, s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c := New(s.dial, o)
		defer c.Close()
		test(t, c, s)
	})
}

// start runs a call in a goroutine and returns where its error comes, once the
// call waits.
func start(f func() error) chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	return done
}

func put(c *Client, key string) func() error {
	return func() error { return c.Put(context.Background(), []byte(key), []byte("v"), nil) }
}

func get(c *Client, key string) func() error {
	return func() error { _, err := c.Get(context.Background(), []byte(key)); return err }
}

// wantIs checks that err is each of the targets.
func wantIs(t *testing.T, what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%s: error %v; want one that is %v", what, err, target)
		}
	}
}

// wantNot checks that err is not a target.
func wantNot(t *testing.T, what string, err, target error) {
	t.Helper()
	if err == nil || errors.Is(err, target) {
		t.Errorf("%s: error %v; want one that is not %v", what, err, target)
	}
}
