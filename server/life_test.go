package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// serve runs srv on a listener in memory.
func serve(t testing.TB, srv *server.Server) (l *memnet.Listener, done <-chan error) {
	l = memnet.Listen("test")
	errs := make(chan error, 1)
	go func() { errs <- srv.Serve(l) }()
	return l, errs
}

func dialListener(t testing.TB, l *memnet.Listener) *peer {
	t.Helper()
	c, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newPeer(t, c, wire.ManyLevel)
}

// TestShutdown has what was received answered; an extended client, told to go,
// answered for as long as it stays; and the others' connections ended after the
// grace.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSpy()
		srv := server.New(store, nil)
		l, served := serve(t, srv)
		npm, extended, silent := dialListener(t, l), dialListener(t, l), dialListener(t, l)
		extended.hello()
		npm.send(wire.AppendPut(wire.AppendGet(nil, 1, []byte("slow"), 0), 2, []byte("a"), []byte("1"), 0))
		<-store.holding
		synctest.Wait() // until all are accepted

		begin := time.Now()
		shut := make(chan error, 1)
		go func() { shut <- srv.Shutdown(context.Background()) }()
		if err := <-served; err != server.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		if _, err := l.Dial(t.Context()); err == nil {
			t.Error("a connection was accepted during a shutdown")
		}
		if r := extended.receive(); r.Tag != wire.TagDrain {
			t.Fatalf("received tag %d, want the notice of a drain", r.Tag)
		}
		silent.expectEnd()
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("a silent connection was ended after %v", took)
		}
		time.Sleep(time.Minute)
		close(store.hold)
		npm.expect(1, mld.ErrNotFound)
		npm.expect(2, nil)
		npm.expectEnd()
		extended.send(wire.AppendGet(nil, 1, []byte("a"), 0))
		extended.expect(1, nil)
		synctest.Wait()
		select {
		case err := <-shut:
			t.Fatalf("Shutdown returned (%v) before its last client was gone", err)
		default:
		}
		extended.rw.Close()
		if err := <-shut; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := srv.Serve(memnet.Listen("again")); err != server.ErrServerClosed {
			t.Errorf("Serve after Shutdown: %v", err)
		}
		client, end := memnet.Pipe()
		if err := srv.ServeConn(t.Context(), end); err != server.ErrServerClosed {
			t.Errorf("ServeConn after Shutdown: %v", err)
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the refused stream: %v", err)
		}
	})
}

// TestShutdownEnds has the end of the context cut what has not drained.
func TestShutdownEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server.New(newSpy(), nil)
		l, served := serve(t, srv)
		p := dialListener(t, l)
		p.hello()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := srv.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v", err)
		}
		<-served
		p.receive() // the notice
		p.expectEnd()
	})
}

// TestClose has a close end the waiting of calls, wait for those that do not
// heed it, and leave nothing.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSpy()
		srv := server.New(store, nil)
		l, served := serve(t, srv)
		p, q, idle := dialListener(t, l), dialListener(t, l), dialListener(t, l)
		p.send(wire.AppendGet(nil, 1, []byte("slow-ctx"), 0))
		q.send(wire.AppendGet(nil, 1, []byte("slow"), 0))
		<-store.holding
		<-store.holding
		closed := make(chan struct{})
		go func() {
			srv.Close()
			close(closed)
		}()
		p.expectEnd()
		q.expectEnd()
		idle.expectEnd()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close did not wait for a call of the store")
		default:
		}
		close(store.hold)
		<-closed
		if err := <-served; err != server.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		srv.Close()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown after Close: %v", err)
		}
	})
}

// bare is a stream without deadlines.
type bare struct{ io.ReadWriteCloser }

// TestServeConn has each end of a connection returned, over a stream that knows
// deadlines and one that does not.
func TestServeConn(t *testing.T) {
	for name, wrap := range map[string]func(io.ReadWriteCloser) io.ReadWriteCloser{
		"deadlines":    func(s io.ReadWriteCloser) io.ReadWriteCloser { return s },
		"no deadlines": func(s io.ReadWriteCloser) io.ReadWriteCloser { return bare{s} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := func(ctx context.Context) (*server.Server, *peer, <-chan error) {
					srv := server.New(memstore.New(), &server.Options{IdleTimeout: time.Hour})
					client, end := memnet.Pipe()
					done := make(chan error, 1)
					go func() { done <- srv.ServeConn(ctx, wrap(end)) }()
					p := newPeer(t, client, wire.ManyLevel)
					p.send(wire.AppendGet(nil, 1, []byte("a"), 0))
					p.expect(1, mld.ErrNotFound)
					return srv, p, done
				}
				bg := context.Background()

				_, p, done := begin(bg)
				p.rw.Close()
				if err := <-done; err != nil {
					t.Errorf("after the client's end: %v", err)
				}

				_, p, done = begin(bg)
				p.send([]byte{5, 0, 8})
				p.rw.Close()
				if err := <-done; err != io.ErrUnexpectedEOF {
					t.Errorf("after an end within a message: %v", err)
				}

				_, p, done = begin(bg)
				p.send(wire.AppendFrame(nil, []byte{0}))
				if err := <-done; !errors.Is(err, mld.ErrProtocol) {
					t.Errorf("after a message without an id: %v", err)
				}
				p.expectEnd()

				ctx, cancel := context.WithCancelCause(bg)
				_, p, done = begin(ctx)
				why := errors.New("enough")
				cancel(why)
				if err := <-done; err != why {
					t.Errorf("after the end of the context: %v", err)
				}
				p.expectEnd()

				srv, p, done := begin(bg)
				srv.Close()
				if err := <-done; err != server.ErrServerClosed {
					t.Errorf("after Close: %v", err)
				}
				p.expectEnd()

				srv, p, done = begin(bg)
				p.send([]byte{5, 0, 8}) // a part of a message holds nobody up
				begun := time.Now()
				if err := srv.Shutdown(bg); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				if err := <-done; err != server.ErrServerClosed {
					t.Errorf("after Shutdown: %v", err)
				}
				if took := time.Since(begun); took > 300*time.Millisecond {
					t.Errorf("Shutdown took %v", took)
				}
				p.expectEnd()
			})
		})
	}
}

// flaky is a listener whose first accepts fail for a time.
type flaky struct {
	net.Listener
	mu    sync.Mutex
	fails []error
}

type temporaryError struct{ error }

func (temporaryError) Temporary() bool { return true }

func (l *flaky) Accept() (net.Conn, error) {
	l.mu.Lock()
	var err error
	if len(l.fails) > 0 {
		err, l.fails = l.fails[0], l.fails[1:]
	}
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return l.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := memnet.Listen("flaky")
		short := temporaryError{errors.New("no descriptors left")}
		l := &flaky{Listener: inner, fails: []error{short, short, short}}
		srv := server.New(memstore.New(), nil)
		begun := time.Now()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		p := dialListener(t, inner)
		p.send(wire.AppendGetMany(nil, 1, nil, 0))
		p.expect(1, nil)
		if took := time.Since(begun); took != 35*time.Millisecond {
			t.Errorf("three temporary errors took %v, want 5+10+20 ms", took)
		}
		inner.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) || err == server.ErrServerClosed {
			t.Errorf("Serve of a listener that was closed: %v", err)
		}
		p.send(wire.AppendGetMany(nil, 2, nil, 0))
		p.expect(2, nil)
		srv.Close()
	})
}

// TestSockets has the same over real sockets: calls, the reason of an end in
// spite of unread input, and a shutdown.
func TestSockets(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				dir, err := os.MkdirTemp("", "mld") // t.TempDir may be too long for a socket
				if err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(dir)
				addr = filepath.Join(dir, "s")
			}
			l, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			srv := server.New(memstore.New(), nil)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }()
			dial := func() *peer {
				c, err := net.Dial(network, l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return newPeer(t, c, wire.ManyLevel)
			}
			p := dial()
			p.hello()
			value := make([]byte, 1<<20)
			p.send(wire.AppendPut(nil, 1, []byte("a"), value, 0))
			p.expect(1, nil)
			// Without an id: the connection ends while more is under way.
			go p.rw.Write(append([]byte{1, 0}, wire.AppendPut(nil, 2, []byte("a"), value, 0)...))
			if r := p.receive(); r.Tag != wire.TagGoodbye {
				t.Errorf("received tag %d, want a goodbye", r.Tag)
			}
			q := dial()
			q.send(wire.AppendGet(nil, 1, []byte("a"), 0))
			if r := q.expect(1, nil); len(r.Value) != len(value) {
				t.Errorf("got %d bytes", len(r.Value))
			}
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			q.expectEnd()
			if err := <-served; err != server.ErrServerClosed {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}
