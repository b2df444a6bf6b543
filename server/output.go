package server

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

const (
	// flushSize is how many bytes of answers are gathered before they are
	// written although more input waits.
	flushSize = 64 << 10

	// freeBuffer is the size in bytes up to which the buffers of a connection
	// do not count as in flight.
	freeBuffer = 128 << 10

	// keptBuffer is the size in bytes of the largest output buffer that is used
	// again, if memory is not short. A value of 1 MiB, and what is around it,
	// fits: else each is a megabyte to clear and to collect.
	keptBuffer = 2 << 20
)

// resize accounts for a buffer, of which *size is known, that comes to be of
// another size. Its error names the limit of what is in flight, of the
// connection or of all; there is none for a buffer that shrinks.
func (c *conn) resize(size *int, to int) error {
	if delta := max(to-freeBuffer, 0) - max(*size-freeBuffer, 0); delta != 0 {
		if most := c.srv.opts.Limits.ConnInFlight; delta > 0 && delta > most-c.inFlight {
			c.srv.counters.overloads.Add(1)
			return errLimit("bytes in flight of a connection", most, "max-connection-bytes")
		}
		if err := c.srv.reserve(delta); err != nil {
			return err
		}
		c.inFlight += delta
	}
	*size = to
	return nil
}

// room makes room in the output buffer for n more bytes. What is known to be
// small, as most answers are, may be appended without.
func (c *conn) room(n int) error {
	if n <= cap(c.out)-len(c.out) {
		return nil
	}
	return c.grow(n)
}

// grow is the rest of room, apart from it so that room is inlined.
func (c *conn) grow(n int) error {
	if err := c.mayAnswer(n); err != nil {
		return err
	}
	need := len(c.out) + n
	size := max(need, min(2*cap(c.out), need+need/4))
	if err := c.resize(&c.outSize, size); err != nil {
		return err
	}
	c.out = append(make([]byte, 0, size), c.out...)
	return nil
}

// drop lets go of the output buffer.
func (c *conn) drop() {
	c.out = nil
	_ = c.resize(&c.outSize, 0)
}

// relax lets go of what past messages took beyond what is not counted, if memory
// is short: this connection may be silent from now on, or need it for what comes.
func (c *conn) relax() {
	l := &c.srv.opts.Limits
	if c.inFlight <= l.ConnInFlight/2 && c.srv.inFlight.Load() <= int64(l.InFlight/2) {
		return
	}
	c.in.Relax()
	if cap(c.out) > freeBuffer {
		c.drop()
	}
}

// flushFull writes the answers if there are many.
func (c *conn) flushFull() error {
	if len(c.out) < flushSize {
		return nil
	}
	return c.flush()
}

// flush writes the answers that there are. A client that does not read them
// stops this connection, and no other.
func (c *conn) flush() error {
	if err := c.harden(); err != nil {
		return err
	}
	if len(c.out) == 0 {
		return nil
	}
	if c.srv.soft.Load() > 0 {
		// What a read has seen must not be undone. Who deferred it is told of a failure.
		_ = c.srv.harden(c.ctx, mld.DurabilityNoSync)
	}
	c.writeMu.Lock()
	err := c.writeLocked(c.out)
	c.writeMu.Unlock()
	if cap(c.out) > keptBuffer {
		c.drop()
	} else {
		c.out = c.out[:0]
	}
	return err
}

// writeLocked writes whole messages, or cuts the connection. The caller holds
// writeMu.
func (c *conn) writeLocked(p []byte) error {
	var n int
	var err error
	if c.socket != nil {
		n, err = c.writeSocket(p)
	} else {
		c.limitWrite(len(p))
		n, err = c.stream.Write(p)
		c.srv.readerDone(c)
	}
	c.srv.counters.sent.Add(uint64(n))
	if err != nil {
		// A part of a message may have left.
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("the client had not taken an answer after %s (write-timeout)", c.srv.opts.WriteTimeout)}
		} else {
			err = fmt.Errorf("mld: writing to the client: %w", err)
		}
		c.cut(err)
	}
	return err
}

// limitWrite notes that a client is to take an answer of so many bytes, and sets
// the deadline.
func (c *conn) limitWrite(size int) {
	now := time.Now()
	if c.timed != nil && c.srv.opts.WriteTimeout > 0 {
		_ = c.timed.SetWriteDeadline(now.Add(c.srv.opts.WriteTimeout))
	}
	c.srv.awaitReader(c, size, now)
}

// writeSocket writes to a socket, most of which take an answer at once and need
// no deadline.
func (c *conn) writeSocket(p []byte) (int, error) {
	n, err := c.socket.Write(p)
	if c.socket.Waited() {
		c.srv.readerDone(c)
		_ = c.timed.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// heartbeat shows an extended client that this side lives, unless an answer is
// being written at this moment. It is called from another goroutine than
// serve's.
func (c *conn) heartbeat() {
	if c.writeMu.TryLock() {
		defer c.writeMu.Unlock()
		_ = c.writeLocked(wire.AppendHeartbeat(nil)) // has cut the connection
	}
}
