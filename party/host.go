package party

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/wire"
)

// socketName is the socket of a host, in the directory.
const socketName = "mld.sock"

// host is the store of a directory, open and served by this process.
type host struct {
	dir       string
	record    record
	store     mld.Store
	lock      io.Closer // what is left to release after the store has been closed
	sessions  *session.Registry
	server    *server.Server
	listeners []listener

	wg sync.WaitGroup
}

type listener struct {
	net.Listener
	name    string
	dialect wire.Dialect
}

// newHost opens the store, whose lock it takes over, and makes ready to serve it.
//
// The sockets are bound first, so that guests that look for the host connect, and
// wait on their connection rather than look again. They are accepted later.
func (p *Party) newHost(lock io.Closer) (_ *host, err error) {
	h := &host{dir: p.dir}
	defer func() {
		if err != nil {
			h.undo()
		}
	}()
	// The directory was looked at when it was joined. Another program may have
	// put something else there since.
	name := p.engine.name
	if err = p.findEngine(); err == nil && p.engine.name != name {
		// Somebody else has made the store. Look again, with its engine's lock.
		err = &mld.Error{Code: mld.CodeLocked, Op: "join", Where: p.dir, Msg: "another process has just made a store of " + p.engine.name}
	}
	if err == nil {
		err = p.bind(h)
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	if h.store, h.lock, err = p.engine.open(lock); err != nil {
		h.store = nil
		return nil, err
	}
	if p.o.Wrap != nil {
		h.store = p.o.Wrap(h.store)
	}
	if h.sessions, err = session.Open(p.ctx, h.store, p.o.Sessions); err != nil {
		return nil, err
	}
	o := *p.o.Server
	o.Sessions = h.sessions
	h.server = server.New(h.store, &o)
	h.record = record{
		PID: os.Getpid(), Since: time.Now().UTC(), Engine: p.engine.name,
		Store: fmt.Sprintf("%x", h.sessions.StoreID()), Epoch: h.sessions.Generation(), Instance: h.server.Instance(),
	}
	if err := p.follow(&h.record); err != nil {
		return nil, err
	}
	return h, h.record.write(p.dir)
}

// bind binds the sockets. That for the guests of this package must be; those for Node
// are best effort.
func (p *Party) bind(h *host) error {
	l, err := listen(p.dir, socketName)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", socketName, err)
	}
	h.listeners = append(h.listeners, listener{l, socketName, wire.Auto})
	if !p.mayBeNode() {
		return nil
	}
	for _, s := range nodeSockets {
		l, err := listenForNode(p.dir, s.name)
		if err != nil {
			p.o.Logger.Warn("Node processes cannot join", "socket", s.name, "err", err)
			continue
		}
		h.listeners = append(h.listeners, listener{l, s.name, s.dialect})
	}
	return nil
}

// link returns a connection of this process to its own server.
func (h *host) link() (io.ReadWriteCloser, error) {
	near, far := memnet.PipeAddr("in-process")
	h.wg.Go(func() { h.server.ServeConn(context.Background(), far) }) //nolint:errcheck // it has logged its error
	return near, nil
}

// accept begins to serve guests.
func (h *host) accept() {
	for _, l := range h.listeners {
		h.wg.Go(func() { h.server.ServeDialect(l, l.dialect) }) //nolint:errcheck // it ends when the host does
	}
}

// close hands over: guests are told and drained, the sockets removed while the lock
// is held, the store closed, and the lock released.
func (h *host) close(ctx context.Context) error {
	_ = h.server.Shutdown(ctx) // what was not finished in time was cut
	return h.undo()
}

// undo closes what is there of a host whose server, if it has one, has been closed.
func (h *host) undo() error {
	if h.server != nil {
		h.server.Close() //nolint:errcheck // it returns nil
	}
	for _, l := range h.listeners {
		l.Close()
	}
	h.wg.Wait()
	if h.sessions != nil {
		h.sessions.Close()
	}
	if h.store == nil {
		return nil // nor the lock: what has the names may be another host's
	}
	for _, l := range h.listeners {
		removeSocket(h.dir, l.name)
	}
	_ = os.Remove(filepath.Join(h.dir, recordName)) // it decides nothing
	return errors.Join(h.store.Close(), h.lock.Close())
}
