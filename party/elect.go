package party

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/backoff"
	"github.com/multileveldown/mld/internal/unixsocket"
	"github.com/multileveldown/mld/wire"
)

// dial is how the member's client gets its connections, and with it the election:
// it returns a connection to the host, which may be this process. It tries the lock
// and the sockets in turn until there is one or ctx ends.
func (p *Party) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	if h := p.hosting(); h != nil {
		return h.link()
	}
	if p.Role().Role != Seeking {
		p.become(Event{Role: Seeking, Err: p.client.LastError()})
	}
	wait := backoff.Backoff{Min: p.o.RetryMin, Max: p.o.RetryMax}
	for {
		if p.guessed {
			if err := p.findEngine(); err != nil {
				p.fail(err)
				return nil, client.NoWait(err)
			}
		}
		locked := p.tryLock(ctx)
		if h := p.hosting(); h != nil {
			return h.link()
		}
		stream, err := p.connect(ctx)
		if err == nil {
			return stream, nil
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case locked != nil && !errors.Is(locked, mld.ErrLocked):
			// Neither is there a host nor can this process be it.
			p.fail(locked)
			return nil, client.NoWait(locked)
		case locked != nil:
			err = locked
		}
		p.mu.Lock()
		p.blocked = err
		p.mu.Unlock()
		if err := wait.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// fail takes note that the process cannot be the host, and that there is none.
func (p *Party) fail(err error) {
	p.mu.Lock()
	p.failed = err
	p.mu.Unlock()
	p.become(Event{Role: Seeking, Err: err})
}

// tryLock takes the lock, if that is free, and makes the process the host. Its error
// is [mld.ErrLocked] if somebody else has it.
func (p *Party) tryLock(ctx context.Context) error {
	if p.o.GuestOnly {
		return nil
	}
	lock, err := p.engine.lock()
	if err != nil {
		return explain(p.dir, err)
	}
	p.mu.Lock()
	p.opening = true
	p.mu.Unlock()
	h, err := p.newHost(lock)
	p.mu.Lock()
	p.opening = false
	if err == nil {
		p.host, p.failed = h, nil
	}
	p.mu.Unlock()
	if err != nil {
		return explain(p.dir, err)
	}
	if ctx.Err() == nil {
		// From here on new calls wait until those that are pending, which the
		// client now sends, are done.
		p.mu.Lock()
		if !p.closed {
			p.setRoute(nil)
		}
		p.mu.Unlock()
		p.settling.Go(func() { p.settle(h) })
	}
	return nil
}

// settle waits until this process, which has just become the host, has done what it
// had pending, and then serves others.
func (p *Party) settle(h *host) {
	if p.client.WaitFlushed(p.ctx) != nil || !p.direct(h) {
		return
	}
	p.become(Event{Role: Host, Epoch: h.record.Epoch, HostPID: h.record.PID})
	h.accept()
}

// connect connects to a host.
func (p *Party) connect(ctx context.Context) (io.ReadWriteCloser, error) {
	conn, err := dialSocket(ctx, p.dir, socketName)
	if err == nil {
		return &ourHost{conn, p}, nil
	}
	if !p.mayBeNode() {
		return nil, err
	}
	stream, nodeErr := p.connectNode(ctx)
	if stream == nil {
		return nil, errors.Join(err, nodeErr)
	}
	return stream, nil
}

// ourHost is a connection to a host of this package, as is to be found out.
type ourHost struct {
	net.Conn
	p *Party
}

var _ client.Meeter = (*ourHost)(nil)

// Meet refuses a server that is not the host of the directory, or is an older one
// than the member has seen.
func (h *ourHost) Meet(w *wire.Welcome) error {
	p := h.p
	r, err := checkHost(p.dir, w)
	if err == nil {
		err = p.follow(r)
	}
	if err != nil {
		p.o.Logger.Warn("host refused", "dir", p.dir, "err", err)
		return err
	}
	p.become(Event{Role: Guest, Epoch: r.Epoch, HostPID: r.PID})
	return nil
}

// follow takes note of a host, unless it is not the successor of the last one.
func (p *Party) follow(r *record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	refuse := func(msg string) error {
		return &mld.Error{Code: mld.CodeProtocol, Op: "join", Where: p.dir, Msg: msg}
	}
	switch last := p.last; {
	case last == nil:
	case last.Store != r.Store && p.mayBeNode():
		// A Node host does not know which keys it must not clear.
	case last.Store != r.Store:
		return refuse("the directory has another store than before; close this membership and join anew")
	case last.Epoch > r.Epoch:
		return refuse("the host that answers was replaced before, or the store was put back to an older state; close this membership and join anew")
	}
	p.last, p.failed = r, nil
	return nil
}

// nodeHost is a connection to a host of an npm package.
type nodeHost struct {
	net.Conn
	dialect wire.Dialect
}

var _ client.DialectSpeaker = (*nodeHost)(nil)

func (h *nodeHost) Dialect() wire.Dialect { return h.dialect }

// nodeSockets are the sockets of the npm packages, and what is spoken there.
var nodeSockets = []struct {
	name    string
	dialect wire.Dialect
}{
	{"rave-level.sock", wire.ManyLevel},
	{"level-party.sock", wire.Multileveldown},
}

// connectNode connects to a host of one of the npm packages and waits until it answers.
// It returns nil if there is none, and why one could not be used that has a socket.
func (p *Party) connectNode(ctx context.Context) (io.ReadWriteCloser, error) {
	var errs []error
	for _, s := range nodeSockets {
		conn, err := dialSocket(ctx, p.dir, s.name)
		if err != nil {
			continue // the socket of a package that nobody uses
		}
		if err := hear(ctx, conn); err != nil {
			conn.Close()
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		p.become(Event{Role: Guest, HostPID: unixsocket.PeerPID(conn)})
		return &nodeHost{conn, s.dialect}, nil
	}
	return nil, errors.Join(errs...)
}

// hear asks a host for an answer, which says no more than that it is there, and waits
// for it. A Node host says nothing by itself.
func hear(ctx context.Context, conn net.Conn) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(wire.AppendGetMany(nil, 1, nil, 0)); err != nil {
		return err
	}
	_, err := wire.NewFrameReader(conn, maxAnswer).Next() // nothing comes after it
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// maxAnswer is more than the answer to a question without keys takes.
const maxAnswer = 1 << 10
