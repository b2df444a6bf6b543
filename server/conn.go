package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

const (
	// flushSize is how many bytes of answers are gathered before they are
	// written although more input waits.
	flushSize = 64 << 10

	// keepBuffer is the capacity in bytes up to which a connection keeps its
	// output buffer for the next answers.
	keepBuffer = 256 << 10

	// drainGrace is for how long, once the server shuts down, what a client
	// that cannot be told had already sent is waited for.
	drainGrace = 100 * time.Millisecond
)

// conn is one connection. All but what is said to be otherwise belongs to the
// goroutine that runs serve.
type conn struct {
	srv     *Server
	stream  io.ReadWriteCloser
	info    ConnInfo
	in      *wire.FrameReader
	out     []byte // answers that are not written yet
	outSize int    // bytes of out's capacity that the server knows of
	req     wire.Request

	dialect  wire.Dialect // what is spoken, as far as is known
	certain  bool         // dialect is more than a guess
	extended atomic.Bool  // the client said hello; read by any goroutine

	ctx          context.Context
	writes       gathered
	writeOptions mld.WriteOptions
	iterators    map[uint32]*iterator
	snapshots    map[uint32]mld.Snapshot
	values       manyValues

	// activity is odd while input is being worked on. Whoever looks twice and
	// sees the same odd number knows that one call, or one write, takes long.
	activity atomic.Uint64
	seen     uint64 // the last activity that the pulse saw; guarded by srv.mu

	writeMu sync.Mutex // held while writing to the stream

	closing atomic.Bool // the connection ends with the input at hand

	cutOnce sync.Once
	cutErr  error // why the stream was closed; set within cutOnce
}

func newConn(s *Server, stream io.ReadWriteCloser, id uint64) *conn {
	c := &conn{
		srv:     s,
		stream:  stream,
		info:    ConnInfo{ID: id, RemoteAddr: remoteAddr(stream)},
		in:      wire.NewFrameReader(stream, s.opts.Limits.Frame),
		dialect: s.opts.Dialect,
		certain: s.opts.Dialect != wire.Auto,
	}
	if !c.certain {
		c.dialect = wire.ManyLevel
	}
	c.in.Reserve = s.reserve
	return c
}

// serve works on the connection until it ends, and returns why, or nil when the
// client ended it between two messages.
func (c *conn) serve(ctx context.Context) (err error) {
	defer c.srv.removeConn(c)
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	// Whoever ends ctx wants the stream closed, too, for a read of it may wait.
	stop := context.AfterFunc(ctx, func() { c.cut(context.Cause(ctx)) })
	defer stop()
	defer c.release()
	defer func() {
		if p := recover(); p != nil {
			c.srv.opts.Logger.Error("a connection broke down", "remote", c.info.RemoteAddr, "panic", p, "stack", string(debug.Stack()))
			err = &mld.Error{Code: mld.CodeInternal, Msg: "the server broke down over a call of this connection"}
			c.goodbye(err)
			c.cut(err)
		}
	}()
	c.setReadDeadline()
	err = c.loop()
	if !c.cut(nil) {
		err = c.cutErr
	} else if c.srv.isDraining() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrServerClosed
	}
	if err == io.EOF {
		return nil
	}
	if err != nil {
		c.srv.opts.Logger.Info("connection ended", "remote", c.info.RemoteAddr, "id", c.info.ID, "err", err)
	}
	return err
}

// loop reads and executes until the stream ends or must end.
func (c *conn) loop() error {
	for {
		if err := c.step(); err != nil {
			return c.bow(err)
		}
		if c.in.Buffered() {
			continue
		}
		if err := c.commit(); err != nil {
			return c.bow(err)
		}
		if err := c.flush(); err != nil {
			return err
		}
		c.end()
		if c.closing.Load() {
			return ErrServerClosed
		}
		c.setReadDeadline()
	}
}

// step reads and executes one message.
func (c *conn) step() error {
	body, err := c.in.Next()
	if err == nil {
		c.begin()
		return c.handle(body)
	}
	if large := (*wire.FrameTooLargeError)(nil); errors.As(err, &large) {
		c.begin()
		return c.refuseLarge(large)
	}
	return err
}

// bow ends the connection for err: what was received before is answered, and an
// extended client is told, where it is this side that ends it.
func (c *conn) bow(err error) error {
	// What fails now fails for the reason that is being told.
	_ = c.commit()
	var e *mld.Error
	if errors.As(err, &e) {
		c.goodbye(err)
	} else {
		_ = c.flush()
	}
	return err
}

// begin and end mark the time in which input is being worked on.
func (c *conn) begin() {
	if c.activity.Load()&1 == 0 {
		c.activity.Add(1)
	}
}

func (c *conn) end() { c.activity.Add(1) }

// isStuck reports whether an extended client's call, or the writing of its
// answer, has gone on since isStuck was last called. The caller holds srv.mu.
func (c *conn) isStuck() bool {
	n := c.activity.Load()
	stuck := n&1 == 1 && n == c.seen && c.extended.Load()
	c.seen = n
	return stuck
}

// refuseLarge answers a frame that is above the limit, and passes it over.
func (c *conn) refuseLarge(large *wire.FrameTooLargeError) error {
	err := &mld.Error{Code: mld.CodeLimitExceeded, Msg: large.Error()}
	id, ok := wire.PeekID(large.Head)
	if !ok {
		return err
	}
	if err := c.commit(); err != nil {
		return err
	}
	c.req.Tag, c.req.ID = large.Head[0], id
	c.answerError(err)
	return c.in.Skip()
}

// handle executes one message. An error of handle ends the connection; that of
// a call is an answer.
func (c *conn) handle(body []byte) error {
	if !c.certain {
		if d := wire.Detect(body); d != wire.Auto {
			c.dialect, c.certain = d, true
		}
	}
	hasID, err := c.req.Decode(c.dialect, body, &c.srv.limits)
	if err != nil {
		c.srv.counters.malformed.Add(1)
		if !hasID {
			return err
		}
		c.answerError(err)
		return c.flushFull()
	}
	c.srv.counters.calls[min(c.req.Tag, otherCalls)].Add(1)
	if c.req.IsWrite() {
		if err := c.write(); err != nil {
			return err
		}
		return c.flushFull()
	}
	if err := c.commit(); err != nil {
		return err
	}
	switch c.req.Tag {
	case wire.TagGet:
		err = c.get()
	case wire.TagGetMany:
		err = c.getMany()
	case wire.TagIterator, wire.TagIteratorAck, wire.TagIteratorSeek, wire.TagIteratorClose:
		err = c.iterate()
	case wire.TagHello:
		c.hello()
	case wire.TagSnapshotOpen, wire.TagSnapshotClose:
		err = c.snapshot()
	case wire.TagStats:
		err = c.stats()
	}
	if err != nil {
		return err
	}
	return c.flushFull()
}

// hello notes what an extended client speaks, and says what this server offers.
func (c *conn) hello() {
	c.dialect, c.certain = c.req.Dialect, true
	c.out = wire.AppendWelcome(c.out, &wire.Welcome{
		Version:  wire.ProtocolVersion,
		Features: wire.FeatureSnapshots | wire.FeaturePages | wire.FeatureDurability | wire.FeatureStats,
		MaxFrame: uint64(c.srv.opts.Limits.Frame),
		ReadOnly: c.srv.opts.ReadOnly,
	})
	c.extended.Store(true)
	if c.srv.isDraining() {
		c.out = wire.AppendDrain(c.out)
	}
}

// answerError appends the failure of the call in c.req, in the message that its
// kind of call expects.
func (c *conn) answerError(err error) {
	switch c.req.Tag {
	case wire.TagGetMany:
		c.out = wire.AppendManyError(c.out, c.dialect, c.req.ID, err)
	case wire.TagIterator, wire.TagIteratorAck, wire.TagIteratorSeek, wire.TagIteratorClose:
		c.out = wire.AppendIteratorError(c.out, c.dialect, c.req.ID, c.req.Seq, err)
	default:
		c.out = wire.AppendError(c.out, c.dialect, c.req.ID, err)
	}
}

// storeGone reports whether err says that the store was closed under the
// server. Then the call is not answered but the connection closed, so that a
// client that retries waits for a server with an open store.
func storeGone(err error) bool { return errors.Is(err, mld.ErrClosed) }

// goodbye tells an extended client why the connection is about to be closed.
func (c *conn) goodbye(err error) {
	if c.extended.Load() {
		c.out = wire.AppendGoodbye(c.out, err)
	}
	_ = c.flush() // the connection ends in any case
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
	if len(c.out) == 0 {
		return nil
	}
	c.account()
	err := c.send(c.out)
	if cap(c.out) > keepBuffer {
		c.out = nil
	} else {
		c.out = c.out[:0]
	}
	c.account()
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// account tells the server how much memory the output buffer takes. That is not
// refused, for it is taken already; it makes the reading of large messages be.
func (c *conn) account() {
	if delta := cap(c.out) - c.outSize; delta != 0 {
		c.srv.inFlight.Add(int64(delta))
		c.outSize += delta
	}
}

func (c *conn) send(p []byte) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if d, ok := c.stream.(interface{ SetWriteDeadline(time.Time) error }); ok && c.srv.opts.WriteTimeout > 0 {
		// A stream that knows no deadlines is written without.
		_ = d.SetWriteDeadline(time.Now().Add(c.srv.opts.WriteTimeout))
	}
	n, err := c.stream.Write(p)
	c.srv.counters.sent.Add(uint64(n))
	return err
}

// sendAside writes a message from another goroutine, unless an answer is being
// written at this moment.
func (c *conn) sendAside(p []byte) {
	if !c.writeMu.TryLock() {
		return
	}
	defer c.writeMu.Unlock()
	// An error will meet the connection's own goroutine, too.
	_, _ = c.stream.Write(p)
}

// setReadDeadline puts the time by which the client must have sent something.
func (c *conn) setReadDeadline() {
	d, ok := c.stream.(interface{ SetReadDeadline(time.Time) error })
	if !ok || c.srv.opts.IdleTimeout <= 0 || c.srv.isDraining() {
		return
	}
	_ = d.SetReadDeadline(time.Now().Add(c.srv.opts.IdleTimeout))
	if c.srv.isDraining() {
		// drain may have put its own just before.
		_ = d.SetReadDeadline(time.Now().Add(drainGrace))
	}
}

// drain has the connection end once what was sent has been answered. It is
// called from another goroutine than serve's.
func (c *conn) drain() {
	if c.extended.Load() {
		c.writeMu.Lock()
		_, err := c.stream.Write(wire.AppendDrain(nil))
		c.writeMu.Unlock()
		if err == nil {
			return // the client will close the connection when it has its answers
		}
	}
	if d, ok := c.stream.(interface{ SetReadDeadline(time.Time) error }); ok {
		if d.SetReadDeadline(time.Now().Add(drainGrace)) == nil {
			return
		}
	}
	select {
	case <-time.After(drainGrace):
	case <-c.srv.idle:
	}
	c.closing.Store(true)
	if c.activity.Load()&1 == 0 {
		c.cut(ErrServerClosed)
	}
}

// cut closes the stream, once, and reports whether this call was the one. Any
// goroutine may call it.
func (c *conn) cut(why error) bool {
	first := false
	c.cutOnce.Do(func() {
		first = true
		c.cutErr = why
		c.stream.Close()
	})
	return first
}

// release gives back what the connection holds.
func (c *conn) release() {
	for _, it := range c.iterators {
		it.close()
	}
	for _, s := range c.snapshots {
		s.Close()
	}
	c.cut(nil)
	c.in.Release()
	c.out = nil
	c.account()
}
