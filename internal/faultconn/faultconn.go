// Package faultconn is a stream that fails at a chosen byte, for tests of what
// stands on streams. It does the same each time: nothing in it is random.
package faultconn

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Kind is how a stream fails.
type Kind uint8

const (
	// EOF ends the stream in order: reads return io.EOF, writes
	// [syscall.EPIPE], and the other end is closed.
	EOF Kind = iota
	// Reset cuts it: reads and writes return [syscall.ECONNRESET].
	Reset
	// Silence lets nothing more through in either direction, as a link does
	// whose other end has lost power: writes succeed and vanish, reads wait
	// until Close.
	Silence
)

// String returns "EOF", "reset" or "silence".
func (k Kind) String() string { return [...]string{"EOF", "reset", "silence"}[k] }

// Plan is what happens to one direction of a stream. The zero Plan is nothing.
type Plan struct {
	// Cut is whether and Kind how the stream fails, in both directions, once
	// After bytes have gone in this one.
	Cut   bool
	Kind  Kind
	After int
	// Chunk is the most bytes that one call moves on the stream underneath: a
	// Read returns no more, a Write is split. 0 means no limit.
	Chunk int
	// Delay is waited before each call.
	Delay time.Duration
}

// Conn is a stream with faults.
type Conn struct {
	rwc       io.ReadWriteCloser
	in, out   Plan
	closed    chan struct{}
	closeOnce sync.Once

	mu          sync.Mutex
	read, wrote int // bytes
	failed      bool
	kind        Kind
}

var _ io.ReadWriteCloser = (*Conn)(nil)

// New returns a stream over rwc, with plans for what is read from it and what
// is written to it.
func New(rwc io.ReadWriteCloser, in, out Plan) *Conn {
	return &Conn{rwc: rwc, in: in, out: out, closed: make(chan struct{})}
}

// Transferred returns how many bytes have been read and written.
func (c *Conn) Transferred() (read, wrote int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read, c.wrote
}

// Read reads from the stream as the plans have it.
func (c *Conn) Read(p []byte) (int, error) {
	time.Sleep(c.in.Delay)
	room := c.allowance(&c.in, &c.read, len(p))
	if room < 0 || room == 0 && len(p) > 0 {
		return 0, c.readFailure()
	}
	n, err := c.rwc.Read(p[:room])
	c.mu.Lock()
	c.read += n
	failed, silent := c.failed, c.kind == Silence
	c.mu.Unlock()
	if failed && (silent || err != nil) {
		// The other direction failed while this one waited.
		return 0, c.readFailure()
	}
	if c.in.Cut && c.in.After == c.read {
		c.fail(c.in.Kind)
	}
	return n, err
}

// Write writes to the stream as the plans have it.
func (c *Conn) Write(p []byte) (int, error) {
	time.Sleep(c.out.Delay)
	total := 0
	for {
		room := c.allowance(&c.out, &c.wrote, len(p)-total)
		if room < 0 || room == 0 && total < len(p) {
			n, err := c.writeFailure(len(p) - total)
			return total + n, err
		}
		n, err := c.rwc.Write(p[total : total+room])
		c.mu.Lock()
		c.wrote += n
		c.mu.Unlock()
		if c.out.Cut && c.out.After == c.wrote {
			c.fail(c.out.Kind)
		}
		total += n
		if err != nil || total == len(p) {
			return total, err
		}
	}
}

// Close closes the stream.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.closeOnce.Do(func() {
		close(c.closed)
		err = c.rwc.Close()
	})
	return err
}

// allowance returns how many of n bytes may go now, -1 after a failure.
func (c *Conn) allowance(p *Plan, done *int, n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed {
		return -1
	}
	if p.Chunk > 0 {
		n = min(n, p.Chunk)
	}
	if p.Cut {
		n = min(n, p.After-*done)
		if n == 0 && p.After == *done {
			c.failLocked(p.Kind)
			return -1
		}
	}
	return n
}

func (c *Conn) fail(k Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(k)
}

// failLocked makes the stream fail from now on. The stream underneath is closed
// so that a call that waits on it returns, except when silence has fallen: then
// the other end must not notice.
func (c *Conn) failLocked(k Kind) {
	if c.failed {
		return
	}
	c.failed, c.kind = true, k
	switch r, ok := c.rwc.(interface{ Reset() }); {
	case k == Silence:
	case k == Reset && ok:
		r.Reset()
	default:
		c.rwc.Close()
	}
}

func (c *Conn) failure() Kind {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kind
}

func (c *Conn) readFailure() error {
	switch c.failure() {
	case EOF:
		return io.EOF
	case Reset:
		return syscall.ECONNRESET
	}
	<-c.closed
	return net.ErrClosed
}

func (c *Conn) writeFailure(n int) (int, error) {
	switch c.failure() {
	case EOF:
		return 0, syscall.EPIPE
	case Reset:
		return 0, syscall.ECONNRESET
	}
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
		return n, nil
	}
}
