package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// serveSocket serves a server on a socket, and returns a peer that has had so many
// answers from it that it has the habits of one that asks one thing at a time. The
// server is closed at the end.
func serveSocket(t *testing.T, network string, srv *server.Server) *peer {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { srv.Close() })
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p := newPeer(t, c, wire.ManyLevel)
	p.hello()
	for range 20 {
		p.ask()
	}
	return p
}

// ask has one question answered.
func (p *peer) ask() {
	p.t.Helper()
	p.send(wire.AppendGet(nil, 1, []byte("no such key"), 0))
	p.expect(1, mld.ErrNotFound)
}

// expectGoodbye demands that the server ends the connection, and says why.
func (p *peer) expectGoodbye(why string) {
	p.t.Helper()
	r := p.receive()
	for r.Tag == wire.TagDrain {
		r = p.receive()
	}
	if r.Tag != wire.TagGoodbye || !strings.Contains(r.Err.Error(), why) {
		p.t.Errorf("received tag %d, %v; want a goodbye, %q", r.Tag, r.Err, why)
	}
	p.expectEnd()
}

// TestSocket has each of what ends a connection end one of a real socket, which is
// served otherwise than a stream in memory.
func TestSocket(t *testing.T) {
	get := wire.AppendGet(nil, 1, []byte("no such key"), 0)
	for _, network := range []string{"tcp", "unix"} {
		run := func(name string, o *server.Options, f func(t *testing.T, srv *server.Server, p *peer)) {
			t.Run(network+"/"+name, func(t *testing.T) {
				srv := server.New(memstore.New(), o)
				f(t, srv, serveSocket(t, network, srv))
			})
		}
		run("silence", nil, func(t *testing.T, _ *server.Server, p *peer) {
			for _, pause := range []time.Duration{10, 60, 110, 250} { // around the times at which it looks
				time.Sleep(pause * time.Millisecond)
				p.ask()
			}
		})
		run("the client closes", nil, func(t *testing.T, _ *server.Server, p *peer) {
			p.rw.Close()
		})
		run("the client ends its side", nil, func(t *testing.T, _ *server.Server, p *peer) {
			p.send(bytes.Repeat(get, 1000))
			if err := p.rw.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				p.expect(1, mld.ErrNotFound)
			}
			p.expectEnd()
		})
		run("idle-timeout", &server.Options{IdleTimeout: 300 * time.Millisecond}, func(t *testing.T, _ *server.Server, p *peer) {
			p.ask()
			begun := time.Now()
			p.expectGoodbye("(idle-timeout)")
			if took := time.Since(begun); took < 290*time.Millisecond {
				t.Errorf("ended after %v", took)
			}
		})
		run("message-timeout", &server.Options{MessageTimeout: 300 * time.Millisecond}, func(t *testing.T, _ *server.Server, p *peer) {
			p.send(get[:len(get)/2])
			begun := time.Now()
			for i, drip := len(get)/2, time.NewTicker(100*time.Millisecond); i < len(get)-1 && time.Since(begun) < 250*time.Millisecond; i++ {
				<-drip.C
				p.send(get[i : i+1])
			}
			p.expectGoodbye("(message-timeout)")
			if took := time.Since(begun); took < 290*time.Millisecond || took > 5*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
		run("a message in time", &server.Options{MessageTimeout: time.Second}, func(t *testing.T, _ *server.Server, p *peer) {
			pause := time.NewTicker(250 * time.Millisecond)
			defer pause.Stop()
			for range 5 { // more than the timeout together
				p.send(get[:5])
				<-pause.C
				p.send(get[5:])
				p.expect(1, mld.ErrNotFound)
			}
		})
		run("a frame too large", &server.Options{Limits: server.Limits{Frame: 1 << 10}}, func(t *testing.T, _ *server.Server, p *peer) {
			p.send(wire.AppendPut(nil, 2, []byte("k"), make([]byte, 1<<20), 0))
			p.expect(2, mld.ErrLimitExceeded)
			p.ask()
		})
		run("shutdown", nil, func(t *testing.T, srv *server.Server, p *peer) {
			done := make(chan error, 1)
			go func() { done <- srv.Shutdown(t.Context()) }()
			if r := p.receive(); r.Tag != wire.TagDrain {
				t.Errorf("received tag %d", r.Tag)
			}
			p.ask()
			p.rw.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		run("close", nil, func(t *testing.T, srv *server.Server, p *peer) {
			srv.Close()
			p.expectEnd()
		})
	}
}

// lines gets what a logger writes.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// TestSocketWrites has a client of a real socket that does not read cut, after the
// time that it may take and no sooner, and one that is slow served.
func TestSocketWrites(t *testing.T) {
	const timeout = 2 * time.Second
	// More than the kernel keeps for who does not read.
	for network, size := range map[string]int{"tcp": 16 << 20, "unix": 1 << 20} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			store := memstore.New()
			large := make([]byte, size)
			if err := store.Put(t.Context(), []byte("large"), large, nil); err != nil {
				t.Fatal(err)
			}
			log := make(lines, 100)
			srv := server.New(store, &server.Options{WriteTimeout: timeout, Logger: slog.New(slog.NewTextHandler(log, nil))})
			p := serveSocket(t, network, srv)
			if err := p.rw.(interface{ SetReadBuffer(int) error }).SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			get := wire.AppendGet(nil, 2, []byte("large"), 0)
			for range 2 { // the deadline of one write is not that of the next
				p.send(get)
				if r := p.expect(2, nil); !bytes.Equal(r.Value, large) {
					t.Errorf("%d bytes, not those of the value", len(r.Value))
				}
				time.Sleep(timeout * 6 / 10)
			}
			begun := time.Now()
			p.send(get)
			for line := range log {
				if !strings.Contains(line, "connection ended") {
					continue
				}
				if !strings.Contains(line, "(write-timeout)") {
					t.Errorf("the log does not say why: %s", line)
				}
				break
			}
			if took := time.Since(begun); took < timeout {
				t.Errorf("cut after %v", took)
			}
		})
	}
}

// TestSocketInUse ends a connection of a real socket from outside while a call of it
// is being executed: it is cut at once, and served no more when the call has ended.
func TestSocketInUse(t *testing.T) {
	store := newSpy()
	srv := server.New(store, nil)
	l := listenTCP(t)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stream, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.ServeConn(ctx, stream) }()
	p := newPeer(t, c, wire.ManyLevel)
	p.send(wire.AppendGet(nil, 1, []byte("slow"), 0))
	<-store.holding
	cancel()
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	close(store.hold)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the stream is open: %v", err)
	}
}
