package robustness

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/session"
)

// host is a server in this process, on a network in memory, which can be
// stopped and started again on another store.
type host struct {
	t *testing.T

	mu       sync.Mutex // everything below
	listener *memnet.Listener
	end      func()
}

// start serves a store.
func (h *host) start(store mld.Store) {
	h.t.Helper()
	l := memnet.Listen("host")
	end, err := serve(store, l)
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener, h.end = l, end
}

// stop cuts all connections, and returns when nothing uses the store any more.
func (h *host) stop() { h.end() }

// Dial connects to the server, if one runs.
func (h *host) Dial(ctx context.Context) (io.ReadWriteCloser, error) {
	h.mu.Lock()
	l := h.listener
	h.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	c, err := l.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// serve starts to serve a store to what is accepted, with what remembers the
// writes of clients, and returns what ends that.
func serve(store mld.Store, l net.Listener) (stop func(), err error) {
	sessions, err := session.Open(context.Background(), store, nil)
	if err != nil {
		return nil, err
	}
	srv := server.New(store, &server.Options{Sessions: sessions})
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(l) })
	return func() {
		srv.Close()
		serving.Wait()
		sessions.Close()
	}, nil
}
