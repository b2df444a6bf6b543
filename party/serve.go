package party

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/unixsocket"
	"github.com/multileveldown/mld/server"
)

// Serve accepts connections from l, which may be of any network, and serves each as
// [Party.ServeConn] does. It blocks, closes l, and always returns an error that is
// not nil: [mld.ErrClosed] once the membership has ended.
func (p *Party) Serve(l net.Listener) error {
	stop := context.AfterFunc(p.ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var delay time.Duration
	for {
		stream, err := l.Accept()
		switch {
		case p.ctx.Err() != nil:
			if err == nil {
				stream.Close()
			}
			return p.closedError("serve")
		case err == nil:
			delay = 0
			go p.ServeConn(context.Background(), stream) //nolint:errcheck // it has been logged
		case isTemporary(err):
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			p.o.Logger.Error("accept failed, will try again", "addr", l.Addr().String(), "err", err, "delay", delay)
			select {
			case <-time.After(delay):
			case <-p.ctx.Done():
			}
		default:
			return err
		}
	}
}

func isTemporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

func (p *Party) closedError(op string) error { return closedStore{dir: p.dir}.err(p.cutting, op) }

// ServeConn serves one connection until it ends, ctx ends, or the membership does:
// by the server of this process if it is the host, else by passing what comes on to
// the host and back, so that a client is served as by the host itself. What has
// nobody to be passed on to waits. When the host changes, the connection ends; a
// client that retries connects again, and finds the new one.
func (p *Party) ServeConn(ctx context.Context, stream io.ReadWriteCloser) error {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.serving.Add(1)
	}
	p.mu.Unlock()
	if closed {
		stream.Close()
		return p.closedError("serve")
	}
	defer p.serving.Done()
	for {
		e, changed := p.Watch()
		switch {
		case e.Role == Host:
			return p.hosting().server.ServeConn(ctx, stream)
		case e.Role == Guest && e.Epoch == 0:
			return p.translate(ctx, stream)
		case e.Role == Guest:
			return p.relay(ctx, stream, e.HostPID)
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
		case <-p.ctx.Done():
		}
		stream.Close()
		if err := ctx.Err(); err != nil {
			return err
		}
		return p.closedError("serve")
	}
}

// relay passes bytes between a client and the host, which is process pid.
func (p *Party) relay(ctx context.Context, stream io.ReadWriteCloser, pid int) error {
	defer stream.Close()
	conn, err := dialSocket(ctx, p.dir, socketName)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The member has checked that the host is the right one, on a connection of its
	// own.
	if peer := unixsocket.PeerPID(conn); peer != 0 && peer != pid {
		return &mld.Error{Code: mld.CodeConnectionLost, Op: "serve", Where: p.dir, Msg: "the host has changed"}
	}
	end := func() {
		stream.Close()
		conn.Close()
	}
	defer context.AfterFunc(ctx, end)()
	defer context.AfterFunc(p.ctx, end)()
	back := make(chan error, 1)
	go func() {
		_, err := io.Copy(stream, conn)
		end()
		back <- err
	}()
	_, err = io.Copy(conn, stream)
	if half, ok := conn.(interface{ CloseWrite() error }); ok && err == nil {
		err = half.CloseWrite() // the host answers what it has, and closes
	} else {
		end()
	}
	if berr := <-back; err == nil {
		err = berr
	}
	return err
}

// translate serves a client from a host that does not speak its language.
func (p *Party) translate(ctx context.Context, stream io.ReadWriteCloser) error {
	o := *p.o.Server
	gateway := server.New(p, &o)
	defer context.AfterFunc(p.ctx, func() { gateway.Close() })()
	return gateway.ServeConn(ctx, stream)
}
