package client_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/storetest"
	"github.com/multileveldown/mld/wire"
)

// A host is a server over a store in memory, on a network of its own. Both live
// as long as the test.
type host struct {
	store  mld.Store
	server *server.Server
	dial   client.DialFunc
}

// newHost starts a host; over TCP if tcp is set, else in memory.
func newHost(t testing.TB, o *server.Options, tcp bool) *host {
	t.Helper()
	return newHostOf(t, memstore.New(), o, tcp)
}

// newHostWithSessions starts a host that has sessions.
func newHostWithSessions(t testing.TB, tcp bool) *host {
	t.Helper()
	store := memstore.New()
	registry, err := session.Open(t.Context(), store, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	return newHostOf(t, store, &server.Options{Sessions: registry}, tcp)
}

func newHostOf(t testing.TB, store mld.Store, o *server.Options, tcp bool) *host {
	t.Helper()
	h := &host{store: store}
	h.server = server.New(h.store, o)
	var l net.Listener
	if tcp {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		h.dial = func(ctx context.Context) (io.ReadWriteCloser, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		}
	} else {
		ml := memnet.Listen("host")
		l = ml
		h.dial = func(ctx context.Context) (io.ReadWriteCloser, error) { return ml.Dial(ctx) }
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		h.server.Serve(l)
	}()
	t.Cleanup(func() {
		h.server.Close()
		<-served
		h.store.Close()
	})
	return h
}

// connect returns a client of the host, which is closed before it.
func (h *host) connect(t testing.TB, o *client.Options) *client.Client {
	t.Helper()
	c := client.New(h.dial, o)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConformance(t *testing.T) {
	for _, dialect := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		for _, tcp := range []bool{false, true} {
			name := dialect.String() + " in memory, with sessions"
			if tcp {
				name = dialect.String() + " over TCP"
			}
			t.Run(name, func(t *testing.T) {
				storetest.Run(t, func(t *testing.T) mld.Store {
					if tcp { // one of the two will do
						return newHost(t, nil, tcp).connect(t, &client.Options{Dialect: dialect})
					}
					return newHostWithSessions(t, tcp).connect(t, &client.Options{Dialect: dialect, ExactlyOnce: client.ExactlyOnceRequire})
				}, &storetest.Options{
					NoEmptyKeys:    dialect == wire.Multileveldown,
					NoRangeDeletes: true,
					ReadOnly: func(t *testing.T, entries []mld.Entry) mld.Store {
						h := newHost(t, &server.Options{ReadOnly: true}, tcp)
						for _, e := range entries {
							if err := h.store.Put(t.Context(), e.Key, e.Value, nil); err != nil {
								t.Fatal(err)
							}
						}
						return h.connect(t, &client.Options{Dialect: dialect})
					},
				})
			})
		}
	}
}
