package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// peer is the client's end of a connection.
type peer struct {
	t  testing.TB
	rw io.ReadWriteCloser
	in *wire.FrameReader
	d  wire.Dialect
}

func newPeer(t testing.TB, rw io.ReadWriteCloser, d wire.Dialect) *peer {
	return &peer{t: t, rw: rw, in: wire.NewFrameReader(rw, 1<<30), d: d}
}

// dial connects to srv over memory, as a client of many-level.
func dial(t testing.TB, srv *server.Server) *peer {
	return newPeer(t, connect(t, srv), wire.ManyLevel)
}

func (p *peer) send(frames []byte) {
	p.t.Helper()
	if _, err := p.rw.Write(frames); err != nil {
		p.t.Fatal("send:", err)
	}
}

// receive returns the next message; its slices are valid until the next call.
func (p *peer) receive() *wire.Response {
	p.t.Helper()
	r, err := p.tryReceive()
	if err != nil {
		p.t.Fatal("receive:", err)
	}
	return r
}

func (p *peer) tryReceive() (*wire.Response, error) {
	body, err := p.in.Next()
	if err != nil {
		return nil, err
	}
	var r wire.Response
	return &r, r.Decode(p.d, body)
}

// expect receives the callback of a call and demands its error to be want.
func (p *peer) expect(id uint32, want error) *wire.Response {
	p.t.Helper()
	r := p.receive()
	if r.ID != id || r.Tag != wire.TagCallback && r.Tag != wire.TagGetManyCallback {
		p.t.Fatalf("received tag %d of id %d, want a callback of %d", r.Tag, r.ID, id)
	}
	if want == nil && r.Err != nil || want != nil && !errors.Is(r.Err, want) {
		p.t.Fatalf("call %d: error %v, want %v", id, r.Err, want)
	}
	return r
}

// expectEnd demands that the server has closed the connection.
func (p *peer) expectEnd() {
	p.t.Helper()
	if r, err := p.tryReceive(); err == nil {
		p.t.Fatalf("received tag %d of id %d (%v), want the end", r.Tag, r.ID, r.Err)
	}
}

// hello makes the peer an extended client.
func (p *peer) hello() {
	p.t.Helper()
	p.send(wire.AppendHello(nil, &wire.Hello{Version: 1, Dialect: p.d}))
	if r := p.receive(); r.Tag != wire.TagWelcome {
		p.t.Fatalf("received tag %d, want a welcome", r.Tag)
	}
}

// spy is a store that records what the server asks of it, and whose calls can be
// held up or made to fail.
type spy struct {
	*memstore.Store

	mu      sync.Mutex
	batches []applied
	fail    func(b *mld.Batch) error
	getFail error
	hold    chan struct{} // a get of "slow" waits until it is closed
	holding chan struct{} // receives when a get has begun to wait
}

type applied struct {
	ops        int
	durability mld.Durability
}

func newSpy() *spy {
	return &spy{Store: memstore.New(), hold: make(chan struct{}), holding: make(chan struct{}, 100)}
}

func (s *spy) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	s.mu.Lock()
	s.batches = append(s.batches, applied{b.Len(), o.Durable(mld.DurabilityDefault)})
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		if err := fail(b); err != nil {
			return err
		}
	}
	return s.Store.Apply(ctx, b, o)
}

func (s *spy) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	switch string(key) {
	case "slow":
		s.holding <- struct{}{}
		<-s.hold
	case "slow-ctx":
		s.holding <- struct{}{}
		<-ctx.Done()
		return nil, nil, ctx.Err()
	case "panic":
		panic("a store with a fault")
	case "io":
		return nil, nil, &mld.Error{Code: mld.CodeIO, Msg: "the disk is gone"}
	}
	return s.Store.GetPinned(ctx, key)
}

func (s *spy) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if s.getFail != nil {
		return nil, s.getFail
	}
	return s.Store.GetMany(ctx, keys)
}

func (s *spy) GetEach(ctx context.Context, keys [][]byte, f func(int, []byte) error) error {
	if s.getFail != nil {
		return s.getFail
	}
	values, err := s.Store.GetMany(ctx, keys)
	for i := 0; i < len(values) && err == nil; i++ {
		err = f(i, values[i])
	}
	return err
}

// take returns what was applied since it was last called.
func (s *spy) take() []applied {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.batches
	s.batches = nil
	return taken
}

// listenTCP listens on loopback.
func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
