package server_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// TestGateway serves the client of another server: calls go through, and a close
// does not wait for an upstream that is gone.
func TestGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := server.New(memstore.New(), nil)
		l, served := serve(t, upstream)
		db := client.New(func(ctx context.Context) (io.ReadWriteCloser, error) { return l.Dial(ctx) }, nil)
		gateway := server.New(db, nil)
		p := dial(t, gateway)
		frames := wire.AppendPut(nil, 1, []byte("a"), []byte("1"), 0)
		frames = wire.AppendGet(frames, 2, []byte("a"), 0)
		frames = wire.AppendGet(frames, 3, []byte("x"), 0)
		p.send(wire.AppendIterator(frames, p.d, &wire.IteratorOpen{ID: 1, Keys: true, Values: true, Limit: -1}))
		p.expect(1, nil)
		if r := p.expect(2, nil); string(r.Value) != "1" {
			t.Errorf("got %q", r.Value)
		}
		p.expect(3, mld.ErrNotFound)
		if r := p.receive(); r.Tag != wire.TagIteratorData {
			t.Errorf("received tag %d", r.Tag)
		}
		if r := p.receive(); !r.End || r.Err != nil {
			t.Errorf("received tag %d, %v", r.Tag, r.Err)
		}
		upstream.Close()
		<-served
		p.send(wire.AppendGet(nil, 4, []byte("a"), 0))
		time.Sleep(time.Minute)
		gateway.Close()
		p.expectEnd()
		db.Close()
	})
}
