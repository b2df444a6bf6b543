package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/reserved"
	"github.com/multileveldown/mld/wire"
)

// ErrServerClosed is returned by [Server.Serve] and [Server.ServeConn] after
// Shutdown or Close.
var ErrServerClosed = errors.New("mld: the server is closed")

// Server serves a store. All its methods may be called together.
type Server struct {
	store    mld.Store       // with the reserved keys
	defers   bool            // store can apply writes before they are durable
	visible  *reserved.Store // without them, as clients see it
	opts     Options
	limits   wire.Limits
	inFlight atomic.Int64 // bytes, see Limits.InFlight
	counters counters

	// What there is of what Limits bound over all connections. What is kept of
	// clients without one is among it.
	iterators atomic.Int64
	snapshots atomic.Int64
	unread    atomic.Int64 // bytes
	shedding  atomic.Bool  // a goroutine sees to it that it becomes less

	instance uint64 // a random number of this server
	tenants  tenants

	// writes is held for reading by commits, and for writing by a clear that
	// must look at the keys before it can say what to remove.
	writes  sync.RWMutex
	failure atomic.Pointer[mld.Error] // why no more writes are taken
	soft    atomic.Int64              // connections whose writes can be seen and may be undone by the death of the process

	// ctx is that of iterators that may outlive their connection.
	ctx    context.Context
	cancel context.CancelFunc

	mu struct {
		sync.Mutex
		listeners map[net.Listener]struct{}
		conns     map[*conn]struct{}
		lastID    uint64
		draining  bool
		stopPulse chan struct{} // closed when there is nothing to watch any more; nil then
		refusing  int           // clients that are being told that they are one too many
	}
	stop chan struct{} // closed with draining
	idle chan struct{} // closed when draining and the last connection is gone
	wg   sync.WaitGroup
}

// New returns a server of store. It does nothing until Serve or ServeConn is
// called, and never closes the store.
func New(store mld.Store, o *Options) *Server {
	s := &Server{
		store: store, visible: reserved.Hide(store), opts: o.withDefaults(),
		instance: rand.Uint64() | 1, // never 0
		stop:     make(chan struct{}), idle: make(chan struct{}),
	}
	_, s.defers = store.(mld.DeferredWriter)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.tenants.byID = make(map[wire.ClientID]*tenant)
	s.limits = s.opts.Limits.message()
	s.mu.listeners = make(map[net.Listener]struct{})
	s.mu.conns = make(map[*conn]struct{})
	return s
}

// Instance returns a random number that no other server has. Clients are told it
// with the offer of leases.
func (s *Server) Instance() uint64 { return s.instance }

// ConnInfo tells of a connection.
type ConnInfo struct {
	// ID is a number that no other connection of the server has.
	ID uint64
	// RemoteAddr is the address of the client, if the stream has one.
	RemoteAddr string
}

// Serve accepts connections from l and serves each until it ends. It blocks,
// closes l, and always returns an error that is not nil: [ErrServerClosed] after
// Shutdown or Close.
func (s *Server) Serve(l net.Listener) error { return s.ServeDialect(l, s.opts.Dialect) }

// ServeDialect is [Server.Serve] for a listener whose clients are known to speak a
// dialect, unless they are of this project and say what they speak.
func (s *Server) ServeDialect(l net.Listener, d wire.Dialect) error {
	if !s.addListener(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.removeListener(l)
	var delay time.Duration
	for {
		stream, err := l.Accept()
		if err == nil {
			delay = 0
			ctx := context.Background()
			if c, err := s.newConn(ctx, stream, d); err != nil {
				s.refuse(stream, err)
			} else {
				go c.serve(ctx) //nolint:errcheck // it has logged its error
			}
			continue
		}
		if s.isDraining() {
			return ErrServerClosed
		}
		// What net/http does: a process that is out of file descriptors, say,
		// may soon have some again.
		var temporary interface{ Temporary() bool }
		if !errors.As(err, &temporary) || !temporary.Temporary() {
			return fmt.Errorf("mld: accept on %s: %w", l.Addr(), err)
		}
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.opts.Logger.Error("accept failed, will try again", "addr", l.Addr().String(), "err", err, "delay", delay)
		select {
		case <-time.After(delay):
		case <-s.stop: // and so is the listener: Accept will say so
		}
	}
}

// ServeConn serves one connection over any stream until it ends, ctx ends, or
// the server is closed; then it closes the stream. It returns nil when the
// client ended the connection between two messages. To end it from outside, end
// ctx: to close a [net.TCPConn] or [net.UnixConn] that is served waits until the call
// that it executes has ended, and so must not be done within one, as by a hook.
func (s *Server) ServeConn(ctx context.Context, stream io.ReadWriteCloser) error {
	c, err := s.newConn(ctx, stream, s.opts.Dialect)
	if err != nil {
		s.refuse(stream, err)
		return err
	}
	return c.serve(ctx)
}

// newConn registers a connection, whose calls end with ctx.
func (s *Server) newConn(ctx context.Context, stream io.ReadWriteCloser, d wire.Dialect) (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.draining {
		return nil, ErrServerClosed
	}
	if len(s.mu.conns) >= s.opts.Limits.Connections {
		s.counters.refused.Add(1)
		return nil, errLimit("connections", s.opts.Limits.Connections, "max-connections")
	}
	s.mu.lastID++
	c := newConn(ctx, s, stream, s.mu.lastID, d)
	s.mu.conns[c] = struct{}{}
	s.wg.Add(1)
	s.counters.accepted.Add(1)
	if s.mu.stopPulse == nil {
		stop := make(chan struct{})
		s.mu.stopPulse = stop
		s.wg.Go(func() { s.pulse(stop) })
	}
	return c, nil
}

// maxRefusing is how many clients are told at a time that they are one too many.
const maxRefusing = 16

// refuse closes a stream that is not served. A client of this project is told
// why, if it reads that at once; the caller does not wait for it.
func (s *Server) refuse(stream io.ReadWriteCloser, err error) {
	s.opts.Logger.Info("connection refused", "remote", remoteAddr(stream), "err", err)
	timed, ok := stream.(interface{ SetDeadline(time.Time) error })
	s.mu.Lock()
	ok = ok && !s.mu.draining && s.mu.refusing < maxRefusing && timed.SetDeadline(time.Now().Add(time.Second)) == nil
	if ok {
		s.mu.refusing++
		s.wg.Go(func() {
			stream.Write(wire.AppendGoodbye(nil, err))
			stream.Close()
			s.mu.Lock()
			s.mu.refusing--
			s.mu.Unlock()
		})
	}
	s.mu.Unlock()
	if !ok {
		stream.Close()
	}
}

func (s *Server) removeConn(c *conn) {
	s.mu.Lock()
	delete(s.mu.conns, c)
	if len(s.mu.conns) == 0 && s.mu.draining {
		s.endPulse()
		close(s.idle)
	} else {
		s.rest()
	}
	s.mu.Unlock()
	s.wg.Done()
}

// rest ends the pulse if there is nothing to watch. The caller holds mu.
func (s *Server) rest() {
	if len(s.mu.conns) > 0 {
		return
	}
	if leases, _ := s.leased(); leases == 0 {
		s.endPulse()
	}
}

// endPulse ends the pulse, if there is one. The caller holds mu.
func (s *Server) endPulse() {
	if s.mu.stopPulse != nil {
		close(s.mu.stopPulse)
		s.mu.stopPulse = nil
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.draining {
		return false
	}
	s.mu.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	delete(s.mu.listeners, l)
	s.mu.Unlock()
	l.Close()
}

func (s *Server) isDraining() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// drain stops the accepting of connections and has f see to those that there
// are. It holds mu meanwhile, so f must not wait.
func (s *Server) drain(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.draining {
		s.mu.draining = true
		close(s.stop)
		if len(s.mu.conns) == 0 {
			s.endPulse()
			close(s.idle)
		}
	}
	for l := range s.mu.listeners {
		l.Close()
	}
	for c := range s.mu.conns {
		f(c)
	}
}

// Shutdown stops accepting, has every connection answer what it has received,
// and returns when all are closed. A client of this project is told beforehand,
// so that it sends its next calls elsewhere; one of the npm packages sees the
// connection end, and with its retry option goes on elsewhere, too. When ctx
// ends first, what is left is cut, and Shutdown returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain(func(c *conn) { s.wg.Go(c.drain) })
	select {
	case <-s.idle:
		s.end()
		return nil
	case <-ctx.Done():
		s.Close()
		return ctx.Err()
	}
}

// Close cuts all connections, closes the listeners, ends the contexts of the
// calls that the store is executing, and waits for those calls. It returns nil.
func (s *Server) Close() error {
	// To close a stream can take time, as it does for TLS.
	s.drain(func(c *conn) { s.wg.Go(func() { c.cut(ErrServerClosed) }) })
	s.end()
	return nil
}

// end waits for what is left of connections that have been told to end, and
// closes what clients left open.
func (s *Server) end() {
	s.cancel()
	s.wg.Wait()
	s.expire(time.Now(), true)
}

// admit counts one more of something, unless there are as many as may be.
func admit(n *atomic.Int64, what string, limit int, flag string) error {
	if n.Add(1) > int64(limit) {
		n.Add(-1)
		return errLimit(what, limit, flag)
	}
	return nil
}

// discard closes an iterator that is in no table any more.
func (s *Server) discard(it *iterator) {
	it.close()
	s.iterators.Add(-1)
}

// reserve accounts for bytes in flight.
func (s *Server) reserve(delta int) error {
	if n := s.inFlight.Add(int64(delta)); delta > 0 && n > int64(s.opts.Limits.InFlight) {
		s.inFlight.Add(int64(-delta))
		s.counters.overloads.Add(1)
		return errLimit("bytes in flight over all connections", s.opts.Limits.InFlight, "max-in-flight-bytes")
	}
	return nil
}

// pulseInterval is how long a call may take before its client is shown a sign
// of life, and how often one is shown; once to twice that.
const pulseInterval = time.Second

// pulse shows a sign of life to the extended clients that are found waiting for
// an answer, or still sending, twice in a row: so they can tell a slow store or a
// slow link from a dead one. And it closes what clients left open for too long.
func (s *Server) pulse(stop <-chan struct{}) {
	ticker := time.NewTicker(pulseInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-stop:
			return
		}
		s.expire(time.Now(), false)
		s.mu.Lock()
		s.rest()
		for c := range s.mu.conns {
			was := c.busy
			c.busy = c.phase.Load() != idle
			if was && c.busy && c.extended.Load() {
				s.wg.Go(c.heartbeat)
			}
		}
		s.mu.Unlock()
	}
}

func remoteAddr(stream io.ReadWriteCloser) string {
	if a, ok := stream.(interface{ RemoteAddr() net.Addr }); ok && a.RemoteAddr() != nil {
		return a.RemoteAddr().String()
	}
	return ""
}
