// Package memnet is a network in memory: a listener, a dialer and
// streams with buffers, deadlines and resets. Whoever waits on it waits on a
// [sync.Cond] or a channel, so it is fit for [testing/synctest].
package memnet

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how many bytes are on their way in one direction before a write
// waits, as in the buffers of a socket.
const bufferSize = 64 << 10

// Addr is the address of both ends of every stream.
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address.
func (a Addr) String() string { return string(a) }

// Listener accepts the streams that its Dial makes. Its methods may be called
// together.
type Listener struct {
	addr   Addr
	accept chan *Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a listener with a name.
func Listen(name string) *Listener {
	return &Listener{addr: Addr(name), accept: make(chan *Conn), closed: make(chan struct{})}
}

// Accept waits for a dial and returns the server's end. After Close it returns
// [net.ErrClosed].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept, and refuses what is dialled from then on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.addr }

// Dial waits for an Accept and returns the client's end. It returns
// [syscall.ECONNREFUSED] when the listener is closed.
func (l *Listener) Dial(ctx context.Context) (*Conn, error) {
	select {
	case <-l.closed: // before an Accept that has not noticed
		return nil, syscall.ECONNREFUSED
	default:
	}
	client, server := PipeAddr(l.addr)
	select {
	case l.accept <- server:
		return client, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Conn is one end of a stream. It is a [net.Conn].
type Conn struct {
	addr     Addr
	in, out  *half
	deadline sync.Mutex // serialises SetDeadline and its kin
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of a stream.
func Pipe() (a, b *Conn) { return PipeAddr("pipe") }

// PipeAddr returns the two ends of a stream with an address.
func PipeAddr(addr Addr) (a, b *Conn) {
	x, y := newHalf(), newHalf()
	return &Conn{addr: addr, in: x, out: y}, &Conn{addr: addr, in: y, out: x}
}

// Read waits for bytes. It returns [io.EOF] when the other end was closed,
// [net.ErrClosed] when this one was.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write waits until all of p is in the buffer. It returns [syscall.EPIPE] when
// the other end was closed, [net.ErrClosed] when this one was.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close closes this end. The other end reads what was written before, then
// io.EOF.
func (c *Conn) Close() error {
	c.in.end(func(h *half) { h.readErr, h.writeErr = net.ErrClosed, syscall.EPIPE })
	c.out.end(func(h *half) { h.eof, h.writeErr = true, net.ErrClosed })
	return nil
}

// CloseWrite lets the other end read io.EOF after what was written before.
func (c *Conn) CloseWrite() error {
	c.out.end(func(h *half) { h.eof, h.writeErr = true, net.ErrClosed })
	return nil
}

// Reset cuts the stream at both ends with [syscall.ECONNRESET]; what was on its
// way is lost.
func (c *Conn) Reset() {
	for _, h := range []*half{c.in, c.out} {
		h.end(func(h *half) { h.readErr, h.writeErr = syscall.ECONNRESET, syscall.ECONNRESET })
	}
}

// LocalAddr and RemoteAddr return the name of the listener.
func (c *Conn) LocalAddr() net.Addr  { return c.addr }
func (c *Conn) RemoteAddr() net.Addr { return c.addr }

// SetDeadline sets both deadlines; the zero time is none.
func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline makes reads return [os.ErrDeadlineExceeded] from t on.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	c.in.setDeadline(t, &c.in.readTimer, &c.in.readLate)
	return nil
}

// SetWriteDeadline makes writes return [os.ErrDeadlineExceeded] from t on.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	c.out.setDeadline(t, &c.out.writeTimer, &c.out.writeLate)
	return nil
}

// half is one direction of a stream.
type half struct {
	mu                    sync.Mutex // everything below
	changed               sync.Cond
	buf                   []byte // a ring
	first                 int
	n                     int
	eof                   bool // nothing more will be written
	readErr, writeErr     error
	readLate, writeLate   bool
	readTimer, writeTimer *time.Timer
}

func newHalf() *half {
	h := &half{}
	h.changed.L = &h.mu
	return h
}

// end changes how reads and writes end. The first reason stays.
func (h *half) end(change func(*half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	readErr, writeErr := h.readErr, h.writeErr
	change(h)
	if readErr != nil {
		h.readErr = readErr
	}
	if writeErr != nil {
		h.writeErr = writeErr
	}
	h.changed.Broadcast()
}

func (h *half) setDeadline(t time.Time, timer **time.Timer, late *bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *timer != nil {
		(*timer).Stop()
	}
	*timer = nil
	wait := time.Until(t)
	*late = !t.IsZero() && wait <= 0
	if !t.IsZero() && wait > 0 {
		var own *time.Timer
		own = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if *timer == own { // else another deadline has replaced this one
				*late = true
				h.changed.Broadcast()
			}
		})
		*timer = own
	}
	h.changed.Broadcast()
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readErr != nil:
			return 0, h.readErr
		case h.readLate:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.n > 0:
			total := 0
			for h.n > 0 && total < len(p) {
				n := copy(p[total:], h.buf[h.first:min(h.first+h.n, len(h.buf))])
				h.first = (h.first + n) % len(h.buf)
				h.n -= n
				total += n
			}
			h.changed.Broadcast()
			return total, nil
		case h.eof:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

// grow doubles the ring, which is full.
func (h *half) grow() {
	grown := make([]byte, min(max(2*len(h.buf), 1<<10), bufferSize))
	n := copy(grown, h.buf[h.first:])
	copy(grown[n:], h.buf[:h.first])
	h.buf, h.first = grown, 0
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	total := 0
	for {
		switch {
		case h.writeErr != nil:
			return total, h.writeErr
		case h.writeLate:
			return total, os.ErrDeadlineExceeded
		case total == len(p):
			return total, nil
		case h.n < bufferSize:
			if h.n == len(h.buf) {
				h.grow()
			}
			for h.n < len(h.buf) && total < len(p) {
				at := (h.first + h.n) % len(h.buf)
				n := copy(h.buf[at:min(len(h.buf), at+len(h.buf)-h.n)], p[total:])
				h.n += n
				total += n
			}
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
}
