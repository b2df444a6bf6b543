package interop

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/wire"
)

// wireDialects are the dialects by the names that the Node programs use.
var wireDialects = map[string]wire.Dialect{
	multileveldown: wire.Multileveldown,
	manyLevel:      wire.ManyLevel,
}

// engine is a kind of store that a test serves.
type engine struct {
	name string
	open func(dir string) (mld.Store, error)
	// volatile engines lose their data when they are closed.
	volatile bool
}

var (
	memory = engine{"memory", func(string) (mld.Store, error) { return memstore.New(), nil }, true}

	engines = []engine{
		memory,
		{"leveldb", func(dir string) (mld.Store, error) { return leveldbstore.Open(dir, nil) }, false},
		{"pebble", func(dir string) (mld.Store, error) { return pebblestore.Open(dir, nil) }, false},
	}
)

// serve serves a store and returns the address. The server ends with the test.
func serve(t testing.TB, store mld.Store, o *server.Options) (addr string) {
	t.Helper()
	l := listen(t)
	srv := server.New(store, o)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// stores are the stores of a server of named stores, each with a server of its
// own. A store is closed with its last connection, for a suite makes hundreds,
// and opened again with the next.
type stores struct {
	t       testing.TB
	engine  engine
	dialect wire.Dialect
	dir     string

	mu     sync.Mutex // protects following
	byName map[string]*served
}

type served struct {
	store mld.Store
	srv   *server.Server
	conns int
}

func newStores(t testing.TB, e engine, dialect wire.Dialect) *stores {
	s := &stores{t: t, engine: e, dialect: dialect, dir: t.TempDir(), byName: make(map[string]*served)}
	t.Cleanup(func() {
		for _, sv := range s.byName {
			sv.close(t)
		}
	})
	return s
}

// serveConn serves one connection to a store.
func (s *stores) serveConn(ctx context.Context, name string, conn net.Conn) {
	sv := s.acquire(name)
	if sv == nil {
		return
	}
	defer s.release(name, sv)
	sv.srv.ServeConn(ctx, conn)
}

func (s *stores) acquire(name string) *served {
	s.mu.Lock()
	defer s.mu.Unlock()
	sv := s.byName[name]
	if sv == nil {
		store, err := s.engine.open(filepath.Join(s.dir, name))
		if err != nil {
			s.t.Errorf("open the store %s: %v", name, err)
			return nil
		}
		sv = &served{store: store, srv: server.New(store, &server.Options{
			Dialect:    s.dialect,
			Durability: mld.DurabilityNoSync,
		})}
		s.byName[name] = sv
	}
	sv.conns++
	return sv
}

func (s *stores) release(name string, sv *served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sv.conns--; sv.conns == 0 && !s.engine.volatile {
		sv.close(s.t)
		delete(s.byName, name)
	}
}

func (sv *served) close(t testing.TB) {
	if err := errors.Join(sv.srv.Close(), sv.store.Close()); err != nil {
		t.Errorf("close a store: %v", err)
	}
}
