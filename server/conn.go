package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/socket"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/wire"
)

// drainGrace is for how long, once the server shuts down, what a client that
// cannot be told has already sent is waited for; and for how long a client that
// is sending is given to read why its connection ends.
const drainGrace = 100 * time.Millisecond

// lookAfter is how long a socket may be silent, at the most, before it is looked at
// for an end of the stream that the kernel tells nothing of, see [socket.Socket.Guessed].
const lookAfter = 100 * time.Millisecond

// A phase is what a connection does.
type phase = int32

const (
	idle      phase = iota // waits for a message to begin
	receiving              // has a part of a message, and waits for the rest
	working                // executes, or writes an answer
)

// deadliner is a stream that knows deadlines.
type deadliner interface {
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// conn is one connection. All but what is said to be otherwise belongs to the
// goroutine that runs serve.
type conn struct {
	srv    *Server
	stream io.ReadWriteCloser
	timed  deadliner      // the stream, or nil if it knows no deadlines
	socket *socket.Socket // the stream, or nil if it is none
	info   ConnInfo
	ctx    context.Context // of the calls; ends when the connection is cut
	cancel context.CancelFunc

	in       *wire.FrameReader
	inSize   int    // bytes that in's buffer takes
	out      []byte // answers that are not written yet; whole messages between two calls
	outSize  int    // bytes that out takes, as far as they count as in flight
	inFlight int    // bytes of all buffers that count as in flight
	req      wire.Request

	due       time.Time // when the message that is being received must be there; zero before its rest is waited for
	readUntil time.Time // the deadline that reads have, unless draining
	lookAt    time.Time // when a silent socket is to be looked at; zero if not

	dialect  wire.Dialect // what is spoken, as far as is known
	certain  bool         // dialect is more than a guess
	extended atomic.Bool  // the client said hello and was welcomed; read by any goroutine

	gets         gets
	writes       gathered
	writeOptions mld.WriteOptions
	iterators    map[uint32]*iterator
	snapshots    map[uint32]*snapshot

	tenant    *tenant          // of the client that said who it is
	session   *session.Session // in which it numbers its writes; nil if it does not
	noSession error            // why a numbered write has no session
	leaving   bool             // the client has said that it will not come back
	alone     bool             // srv.writes is held for writing
	checksum  checksum

	phase atomic.Int32 // written by serve's goroutine, read by any
	busy  bool         // the pulse found it not idle; guarded by srv.mu

	writeMu sync.Mutex // held while writing to the stream
	unread  unread

	readMu   sync.Mutex // held while setting the deadline of reads
	draining bool       // the deadline of reads stays as it is; guarded by readMu

	closing atomic.Bool // the connection ends with the input at hand

	cutOnce sync.Once
	cutErr  error // why the stream was closed; set within cutOnce
}

func newConn(ctx context.Context, s *Server, stream io.ReadWriteCloser, id uint64, d wire.Dialect) *conn {
	c := &conn{
		srv:     s,
		stream:  stream,
		info:    ConnInfo{ID: id, RemoteAddr: remoteAddr(stream)},
		dialect: d,
		certain: d != wire.Auto,

		noSession: errNoSession,
	}
	c.gets.got = func(i int, value []byte, err error) error { return c.answerGet(c.gets.ids[i], value, err) }
	c.timed, _ = stream.(deadliner)
	if c.socket = socket.Of(stream); c.socket != nil {
		c.socket.Full = c.limitWrite
		c.socket.Busy.Most = s.opts.BusyPoll
	}
	c.ctx, c.cancel = context.WithCancel(ctx)
	if !c.certain {
		c.dialect = wire.ManyLevel
	}
	c.in = wire.NewFrameReader((*input)(c), s.opts.Limits.Frame)
	c.in.Reserve = func(delta int) error { return c.resize(&c.inSize, c.inSize+delta) }
	return c
}

// serve works on the connection until it ends, and returns why, or nil when the
// client ended it between two messages. It ends with ctx, too.
func (c *conn) serve(ctx context.Context) error {
	defer c.srv.removeConn(c)
	// Whoever ends ctx wants the stream closed, too, for a read of it may wait.
	stop := context.AfterFunc(ctx, func() { c.cut(context.Cause(ctx)) })
	defer stop()
	defer c.release()
	err := c.run()
	c.bow(err)
	if !c.cut(nil) {
		err = c.cutErr
	}
	if c.socket != nil {
		c.stream.Close()
	}
	if err == io.EOF {
		return nil
	}
	c.srv.opts.Logger.Info("connection ended", "remote", c.info.RemoteAddr, "id", c.info.ID, "err", err)
	return err
}

// run reads and executes until the connection ends or must end, and executes
// what had been received before.
func (c *conn) run() (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.srv.opts.Logger.Error("a call broke down", "remote", c.info.RemoteAddr, "id", c.info.ID, "panic", p, "stack", string(debug.Stack()))
			c.out = c.out[:0] // half a message may be among the answers
			err = &mld.Error{Code: mld.CodeInternal, Msg: "the server broke down over a call of this connection"}
		}
	}()
	if c.socket != nil {
		err = c.loopSocket()
	} else {
		err = c.loop()
	}
	_ = c.settle() // what fails now fails for the reason that will be told
	return err
}

// loopSocket is loop, again whenever there is something to read.
func (c *conn) loopSocket() error {
	var err error
	f := func() bool {
		err = c.loop()
		return err == syscall.EAGAIN
	}
	for {
		waited := c.socket.Serve(f)
		if waited == nil {
			return err
		}
		if !errors.Is(waited, os.ErrDeadlineExceeded) {
			return waited
		}
		if c.lookAt.IsZero() || !c.lookAt.Equal(c.readUntil) {
			return c.late()
		}
		c.lookAt = time.Time{}
		c.limitRead(false)
	}
}

// loop reads and executes until the connection ends or, if it is a socket, nothing
// has arrived, which is [syscall.EAGAIN].
func (c *conn) loop() error {
	for {
		if err := c.step(); err != nil {
			return err
		}
		if c.in.Buffered() {
			continue
		}
		if err := c.settle(); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
		c.req.Reset()
		c.relax()
		if c.in.Begun() {
			c.phase.Store(receiving)
		} else {
			c.phase.Store(idle)
		}
		if c.closing.Load() {
			return ErrServerClosed
		}
	}
}

// step reads and executes one message.
func (c *conn) step() error {
	body, err := c.in.Next()
	if err == syscall.EAGAIN {
		return err
	}
	c.due = time.Time{}
	if c.phase.Load() != working {
		c.phase.Store(working)
	}
	if err == nil {
		return c.handle(body)
	}
	if large := (*wire.FrameTooLargeError)(nil); errors.As(err, &large) {
		return c.refuseLarge(large)
	}
	return err
}

// input is a connection as the reader of its stream.
type input conn

// Read reads from the stream, for as long as a client may be silent, or take to
// send a message.
func (r *input) Read(p []byte) (int, error) {
	c := (*conn)(r)
	var n int
	var err error
	if c.socket != nil {
		if n, err = c.socket.Read(p); err == syscall.EAGAIN {
			c.limitRead(c.socket.Guessed())
			return 0, err
		}
	} else {
		if c.timed != nil {
			c.limitRead(false)
		}
		n, err = c.stream.Read(p)
	}
	if n > 0 {
		c.phase.Store(receiving)
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = c.late()
	}
	return n, err
}

// limitRead sets the deadline of the next read. It leaves the stream alone when
// that is the one it has, as for clients that send whole messages. With look, the
// socket is to be looked at before long.
func (c *conn) limitRead(look bool) {
	o := &c.srv.opts
	var until time.Time
	if o.MessageTimeout > 0 && c.in.Begun() {
		if c.due.IsZero() {
			c.due = time.Now().Add(o.MessageTimeout)
		}
		until = c.due
	}
	if o.IdleTimeout > 0 {
		if t := time.Now().Add(o.IdleTimeout); until.IsZero() || t.Before(until) {
			until = t
		}
	}
	if look {
		if now := time.Now(); c.lookAt.Sub(now) < lookAfter/2 {
			c.lookAt = now.Add(lookAfter)
		}
		if until.IsZero() || c.lookAt.Before(until) {
			until = c.lookAt
		}
	}
	if until.Equal(c.readUntil) {
		return
	}
	c.readUntil = until
	c.readMu.Lock()
	if !c.draining {
		_ = c.timed.SetReadDeadline(until)
	}
	c.readMu.Unlock()
}

// late returns the error of a client that has sent nothing, or not all of a
// message, for long enough.
func (c *conn) late() error {
	switch {
	case c.srv.isDraining():
		return ErrServerClosed
	case !c.due.IsZero() && c.due.Equal(c.readUntil):
		return &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("the client had not sent the whole of a message after %s (message-timeout)", c.srv.opts.MessageTimeout)}
	}
	return &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("the client sent nothing for %s (idle-timeout)", c.srv.opts.IdleTimeout)}
}

// refuseLarge answers a frame that is above the limit, and passes it over.
func (c *conn) refuseLarge(large *wire.FrameTooLargeError) error {
	err := &mld.Error{Code: mld.CodeLimitExceeded, Msg: large.Error()}
	id, ok := wire.PeekID(large.Head)
	if !ok {
		return err
	}
	// The buffer into which what was gathered points is about to be read into.
	if err := c.settle(); err != nil {
		return err
	}
	c.req.Reset()
	c.req.Tag, c.req.ID = large.Head[0], id
	c.answerError(err)
	// The client may read before it has sent the rest.
	if err := c.flush(); err != nil {
		return err
	}
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
		if err := c.answerGets(); err != nil {
			return err
		}
		if err := c.refuseMalformed(err); err != nil {
			return err
		}
		return c.flushFull()
	}
	c.srv.counters.calls[min(c.req.Tag, otherCalls)].Add(1)
	if c.req.IsWrite() {
		if err := c.answerGets(); err != nil {
			return err
		}
		if err := c.write(); err != nil {
			return err
		}
		return c.flushFull()
	}
	if c.req.Tag == wire.TagGet && c.req.Snapshot == 0 {
		if err := c.commitAhead(); err != nil {
			return err
		}
		return c.gatherGet()
	}
	if err := c.commit(); err != nil {
		return err
	}
	if err := c.answerGets(); err != nil {
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
		return c.hello()
	case wire.TagSnapshotOpen, wire.TagSnapshotClose:
		err = c.snapshot()
	case wire.TagStats:
		err = c.stats()
	case wire.TagSessionEnd:
		err = c.endSession()
	default:
		err = c.fail(&mld.Error{Code: mld.CodeUnsupported, Msg: "this server knows no " + wire.TagName(c.req.Tag)})
	}
	if err != nil {
		return err
	}
	return c.flushFull()
}

// settle does all that was gathered: reads, or writes, for what is of the other
// kind is done before one is gathered.
func (c *conn) settle() error {
	if err := c.commit(); err != nil {
		return err
	}
	return c.answerGets()
}

// hello notes what an extended client speaks, and says what this server offers.
func (c *conn) hello() error {
	if c.extended.Load() {
		return &mld.Error{Code: mld.CodeProtocol, Msg: "a second hello on one connection"}
	}
	c.dialect, c.certain = c.req.Dialect, true
	welcome := wire.Welcome{
		Version:  wire.ProtocolVersion,
		Features: wire.FeatureSnapshots | wire.FeaturePages | wire.FeatureDurability | wire.FeatureStats,
		MaxFrame: uint64(c.srv.opts.Limits.Frame),
		ReadOnly: c.srv.opts.ReadOnly,
	}
	if c.req.Client != (wire.ClientID{}) {
		if err := c.recognisePeer(&welcome); err != nil {
			return err
		}
	}
	c.out = wire.AppendWelcome(c.out, &welcome)
	// Other goroutines write to extended clients, and nothing before this.
	if err := c.flush(); err != nil {
		return err
	}
	c.extended.Store(true)
	if c.srv.isDraining() {
		c.out = wire.AppendDrain(c.out)
	}
	return nil
}

// recognisePeer makes this the connection of the client that said hello, and
// offers it what outlives a connection.
func (c *conn) recognisePeer(welcome *wire.Welcome) error {
	if err := c.srv.attach(c, c.req.Client); err != nil {
		return err
	}
	if c.srv.opts.SnapshotLease > 0 {
		welcome.Features |= wire.FeatureLeases
		welcome.Instance = c.srv.instance
	}
	sessions := c.srv.opts.Sessions
	if sessions == nil || c.srv.opts.ReadOnly || !c.req.Session {
		return nil
	}
	var err error
	if c.session, err = sessions.Session(session.ID(c.req.Client), c.req.Answered); err != nil {
		c.noSession = err
	}
	welcome.Features |= wire.FeatureSessions
	welcome.Store = wire.ClientID(sessions.StoreID())
	welcome.Generation = sessions.Generation()
	welcome.Window = uint32(min(sessions.Window(), math.MaxUint32))
	welcome.Lease = uint64(sessions.Lease().Milliseconds())
	return nil
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

// fail answers the call in c.req with err, or ends the connection with it.
func (c *conn) fail(err error) error {
	if c.hopeless(err) {
		return err
	}
	c.answerError(err)
	return nil
}

// hopeless reports whether a call that failed with err is not to be answered but
// the connection to be closed, so that a client that retries tries again where
// there is an open store: the store was closed under the server, or the call was
// interrupted because the connection ends.
func (c *conn) hopeless(err error) bool {
	return errors.Is(err, mld.ErrClosed) || c.ctx.Err() != nil
}

// drain has the connection end once what was sent has been answered. It is
// called from another goroutine than serve's.
func (c *conn) drain() {
	if c.extended.Load() {
		c.writeMu.Lock()
		err := c.writeLocked(wire.AppendDrain(nil))
		c.writeMu.Unlock()
		if err == nil {
			return // the client will close the connection when it has its answers
		}
	}
	if c.timed != nil {
		c.readMu.Lock()
		c.draining = true
		err := c.timed.SetReadDeadline(time.Now().Add(drainGrace))
		c.readMu.Unlock()
		if err == nil {
			return
		}
	}
	grace := time.NewTimer(drainGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-c.ctx.Done():
	}
	c.closing.Store(true)
	if c.phase.Load() != working {
		c.cut(ErrServerClosed)
	}
}

// bow tells the client why the connection ends, where it is this side that ends
// it, and what is left to tell it.
func (c *conn) bow(err error) {
	var e *mld.Error
	ours := errors.As(err, &e)
	if ours && c.extended.Load() {
		c.out = wire.AppendGoodbye(c.out, err)
	}
	// The connection ends in any case.
	if c.flush() != nil || !ours && err != ErrServerClosed {
		return
	}
	// To close a TCP connection whose input has not been read is to reset it,
	// and what the client has not read yet is lost.
	if half, ok := c.stream.(interface{ CloseWrite() error }); ok && c.timed != nil && half.CloseWrite() == nil {
		_ = c.timed.SetReadDeadline(time.Now().Add(drainGrace))
		_, _ = io.Copy(io.Discard, c.stream)
	}
}

// cut closes the stream, once, or shuts a socket down, and ends the calls that
// wait. It reports whether this call was the one. Any goroutine may call it.
func (c *conn) cut(why error) bool {
	first := false
	c.cutOnce.Do(func() {
		first = true
		c.cutErr = why
		if c.socket != nil {
			c.socket.Shutdown() // Close would wait for serve
		} else {
			c.stream.Close()
		}
		c.cancel()
	})
	return first
}

// release gives back what the connection holds.
func (c *conn) release() {
	c.cut(nil)
	c.srv.detach(c)
	for _, it := range c.iterators {
		c.srv.discard(it)
	}
	for _, s := range c.snapshots {
		s.Close()
		c.srv.snapshots.Add(-1)
	}
	_ = c.harden() // what a call that broke down has left; nobody hears the answer
	c.in.Release()
	c.drop()
	_ = c.resize(&c.writes.size, 0)
}
