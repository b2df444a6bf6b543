package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/socket"
	"github.com/multileveldown/mld/wire"
)

const (
	// highWater is how many bytes may wait to be written before calls wait in a
	// queue instead.
	highWater = 256 << 10

	// inlineBytes is how many bytes the server may not have read yet for a
	// caller to write its call itself: they fit in the send buffer of any
	// socket, so it does not wait there.
	inlineBytes = 16 << 10

	// certainBytes is the size of calls that are sent before it is known how
	// large a message the server reads.
	certainBytes = 1 << 20

	// keptBuffer is how large an output buffer is kept for reuse.
	keptBuffer = 1 << 20

	// farewell is how long after a write has failed the reader may go on.
	farewell = 500 * time.Millisecond

	// ticks is how often in an interval keep-alive looks.
	ticks = 4
)

var (
	errDraining = &mld.Error{Code: mld.CodeConnectionLost, Msg: "the server is about to close the connection"}
	errNoIDs    = &mld.Error{Code: mld.CodeConnectionLost, Msg: "the connection has used up its ids"}
	errRetired  = &mld.Error{Code: mld.CodeConnectionLost, Msg: "the connection was replaced and nothing waits on it any more"}
)

// A conn is one connection. What it has is guarded by the client's mutex, except
// where a comment says otherwise.
type conn struct {
	c      *Client
	stream io.ReadWriteCloser
	input  io.Reader // reads the stream; constant
	where  string    // the address, if the stream tells; constant
	inline bool      // callers may write and read; constant
	timed  deadliner // the stream, if inline
	meeter Meeter    // the stream, if it is one; constant

	dialect wire.Dialect // constant

	lost    chan struct{} // closed when it is over and its goroutines have ended
	retired chan struct{} // closed when another one is to take its place

	closeOnce sync.Once
	wake      chan struct{} // wakes the writer; has room for one
	wrote     chan struct{} // closed when the writer has ended
	heard     atomic.Bool   // bytes came since the last tick; not guarded
	useful    atomic.Bool   // an answer came; not guarded

	// These belong to whoever has the turn, see turn.
	frames   *wire.FrameReader
	response wire.Response
	events   []event // decoded and not handled
	solo     int     // answers that came alone, one after the other

	resume chan error // gives the reader the turn; has room for one
	met    bool       // meeter has been asked; the reader's own

	cause     error // why it ended, or will have
	dead      bool
	retiring  bool // new calls go elsewhere
	released  bool // retired is closed
	known     bool // the server's welcome came, or something without one
	asked     bool // for a sign by which it is known
	features  wire.Features
	readOnly  bool
	instance  uint64
	maxFrame  uint64   // 0 is unknown
	session   *session // of which the hello spoke
	window    uint64   // of numbers of writes under way
	refuses   bool     // the writes of the session
	lastID    uint32
	lastIter  uint32
	sent      callList // encoded and not answered
	table     callTable
	bound     callList // calls for a snapshot that is read here, not encoded
	iterators map[uint32]*Iterator
	dirty     []*Iterator // have something to send
	closes    []uint32    // iterators to close
	snapshots int

	// Output. Positions count from the beginning of the connection.
	out     []byte // not taken by a writer yet
	spare   []byte
	taken   uint64 // position of out: all before may have left
	read    uint64 // the server has read so far, at the least
	writing bool   // somebody writes
	awake   bool   // the writer has been woken and is not back
	crowded bool   // the answers that came last came together, and so will the next calls

	turn   turn // to read
	turned bool // a caller has had it since the reader looked

	timer    *time.Timer
	farewell *time.Timer   // closes the stream after a write has failed
	idle     time.Duration // without a byte from the server
	pinged   bool          // since the last one
}

func newConn(c *Client, stream io.ReadWriteCloser) *conn {
	k := &conn{
		c:         c,
		stream:    stream,
		dialect:   c.o.Dialect,
		lost:      make(chan struct{}),
		retired:   make(chan struct{}),
		resume:    make(chan error, 1),
		wake:      make(chan struct{}, 1),
		wrote:     make(chan struct{}),
		iterators: map[uint32]*Iterator{},
		lastID:    c.firstID - 1,
		lastIter:  c.firstID - 1,
	}
	if nc, ok := stream.(net.Conn); ok {
		k.where = nc.RemoteAddr().String()
	}
	k.meeter, _ = stream.(Meeter)
	if s, ok := stream.(DialectSpeaker); ok {
		k.dialect = s.Dialect()
	}
	switch s := stream.(type) {
	case *net.TCPConn:
		k.inline, k.timed = true, s
	case *net.UnixConn:
		k.inline, k.timed = true, s
	}
	k.input = stream
	if r := socket.NewReader(stream); r != nil {
		r.Busy.Most = c.o.BusyPoll
		k.input = r
	}
	k.frames = wire.NewFrameReader(lively{k}, c.o.MaxFrame)
	return k
}

// deadliner is a stream whose reads have a deadline.
type deadliner interface{ SetReadDeadline(t time.Time) error }

// startLocked makes the connection the client's, with a hello and what waits as
// the first output.
func (k *conn) startLocked() {
	c := k.c
	c.conn = k
	c.conns[k] = struct{}{}
	k.session, k.window = c.session, firstWindow
	k.out = wire.AppendHello(k.out, &wire.Hello{
		Version:  wire.ProtocolVersion,
		Dialect:  k.dialect,
		Client:   c.session.id,
		Session:  c.o.ExactlyOnce != ExactlyOnceOff,
		Answered: c.session.answered,
	})
	k.fillLocked()
	k.wakeLocked()
	if c.o.KeepAliveInterval > 0 {
		k.timer = time.AfterFunc(c.o.KeepAliveInterval/ticks, k.tick)
	}
	c.wg.Go(k.write)
	c.wg.Go(k.run)
}

// run reads until the connection ends and then winds it up. What waits is given
// back before the stream is closed, as that can take a while; only when it is
// closed is the connection lost, so that there are not two where the other end
// may have one only, such as a command that opens a directory.
func (k *conn) run() {
	err := k.readLoop()
	k.windUp(err)
	k.shut(err)
	<-k.wrote
	k.c.o.Logger.Info("connection ended", "address", k.where, "error", k.reason())
	close(k.lost)
}

// shut closes the stream, which ends the reader and the writer.
func (k *conn) shut(cause error) {
	k.c.mu.Lock()
	if k.cause == nil {
		k.cause = cause
	}
	k.resumeLocked() // it will find that the stream is closed
	k.c.mu.Unlock()
	k.closeOnce.Do(func() { k.stream.Close() })
}

// reason returns why the connection ended or is about to.
func (k *conn) reason() error {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	return k.cause
}

// windUp takes the connection out of the client and settles what becomes of
// all that waits on it.
func (k *conn) windUp(err error) {
	c := k.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.cause == nil {
		k.cause = err
	}
	k.dead = true
	if k.timer != nil {
		k.timer.Stop()
	}
	if k.farewell != nil {
		k.farewell.Stop()
	}
	if c.conn == k {
		c.conn = nil
		c.failQueueLocked(k.cause)
	}
	delete(c.conns, k)
	for cl := k.bound.tail; cl != nil; cl = k.bound.tail {
		if err := c.fate(cl, k.cause); err != nil {
			c.failLocked(cl, err)
		} else {
			k.bound.remove(cl)
			c.queue.pushFront(cl)
		}
	}
	for cl := k.sent.tail; cl != nil; cl = k.sent.tail {
		if !k.refuses {
			cl.left = cl.departed()
		}
		if err := c.fate(cl, k.cause); err != nil {
			c.failLocked(cl, err)
		} else {
			k.unsendLocked(cl, &c.queue)
		}
	}
	for _, it := range k.iterators {
		it.lostLocked(k.cause)
	}
	for _, it := range k.dirty {
		it.lostLocked(k.cause)
	}
	k.iterators, k.dirty, k.out = nil, nil, nil
	k.wakeLocked() // so that it ends
	if c.conn != nil {
		c.conn.wakeLocked()
	}
}

// unsendLocked puts a call that was encoded back before a queue.
func (k *conn) unsendLocked(cl *call, queue *callList) {
	k.table.remove(cl)
	k.sent.remove(cl)
	cl.conn = nil
	queue.pushFront(cl)
}

// retireLocked makes calls from now on wait for another connection. Calls that
// were not written yet join them.
func (k *conn) retireLocked(cause error) {
	if k.retiring {
		return
	}
	k.retiring = true
	if k.cause == nil {
		k.cause = cause
	}
	if k.c.conn == k {
		k.c.conn = nil
	}
	for cl := k.sent.tail; cl != nil && cl.start >= k.taken; cl = k.sent.tail {
		if cl.snap != nil {
			break // it can go nowhere else
		}
		k.blankLocked(cl)
		k.unsendLocked(cl, &k.c.queue)
	}
	k.retireIfIdleLocked()
}

// retireIfIdleLocked lets a connection that retires have a successor, and closes
// it once nothing waits on it. Where there are sessions, or may be, the
// successor has to wait for the answers, for a server that is shown the session
// on a second connection cuts the first.
func (k *conn) retireIfIdleLocked() {
	if !k.retiring || k.dead {
		return
	}
	if !k.released && (k.sent.n == 0 || k.known && !k.offers(wire.FeatureSessions)) {
		k.released = true
		close(k.retired)
	}
	if k.sent.n == 0 && k.bound.n == 0 && len(k.iterators) == 0 && k.snapshots == 0 {
		k.c.wg.Go(func() { k.shut(errRetired) })
	}
}

// roomLocked reports whether more may be encoded.
func (k *conn) roomLocked() bool { return len(k.out) < highWater }

// idLocked returns an id for a message that nobody waits for the answer of, or
// 0 if there is none left.
func (k *conn) idLocked() uint32 {
	if k.lastID == maxID {
		return 0
	}
	k.lastID++
	return k.lastID
}

// encodeLocked puts a call that the connection admits into the output. Its error
// refuses the call. When the ids are used up it does nothing and leaves the call
// without connection.
func (k *conn) encodeLocked(cl *call) error {
	id := k.idLocked()
	if id == 0 {
		if cl.snap != nil {
			return errSnapshotLost(errNoIDs)
		}
		k.retireLocked(errNoIDs)
		return nil
	}
	if cl.tag == wire.TagSnapshotOpen {
		cl.number = k.c.snapshotNumberLocked()
	}
	start := len(k.out)
	k.out = cl.append(k.out, id)
	if cl.isWrite() && k.numbersLocked() {
		k.out = k.session.number(k.out, start, cl)
	}
	if err := k.checkSizeLocked(start); err != nil {
		return err
	}
	cl.conn, cl.id = k, id
	cl.start, cl.end = k.taken+uint64(start), k.taken+uint64(len(k.out))
	k.table.add(cl)
	k.sent.push(cl)
	return nil
}

// checkSizeLocked takes the message that begins at start out again if it is
// larger than the server reads.
func (k *conn) checkSizeLocked(start int) error {
	if k.maxFrame == 0 || uint64(len(k.out)-start) <= k.maxFrame {
		return nil
	}
	size, _ := binary.Uvarint(k.out[start:])
	if size <= k.maxFrame {
		return nil
	}
	k.out = k.out[:start]
	if cap(k.out) > keptBuffer {
		k.out = slices.Clone(k.out)
	}
	return &mld.Error{Code: mld.CodeLimitExceeded, Where: k.where, Msg: fmt.Sprintf("the message has %d bytes and the server reads %d at the most (max-frame)", size, k.maxFrame)}
}

// blankLocked overwrites a call in the output with empty frames.
func (k *conn) blankLocked(cl *call) {
	clear(k.out[cl.start-k.taken : cl.end-k.taken])
}

// fillLocked encodes what waits for room: first what iterators have to say,
// which is little and was asked for by who waits for entries, then calls.
func (k *conn) fillLocked() {
	c := k.c
	if k.dead {
		return
	}
	for len(k.closes) > 0 && k.roomLocked() {
		k.out = wire.AppendIteratorClose(k.out, k.dialect, k.closes[0])
		k.closes = slices.Delete(k.closes, 0, 1)
	}
	k.clearUpLocked()
	for len(k.dirty) > 0 && k.roomLocked() {
		it := k.dirty[0]
		k.dirty = slices.Delete(k.dirty, 0, 1)
		it.encodeLocked(k)
	}
	k.fillFromLocked(&k.bound)
	for c.conn == k && len(c.opening) > 0 && k.roomLocked() && c.opening[0].admittedLocked(k) {
		it := c.opening[0]
		c.opening = slices.Delete(c.opening, 0, 1)
		it.encodeLocked(k)
	}
	if c.conn == k {
		k.fillFromLocked(&c.queue)
	}
}

func (k *conn) fillFromLocked(queue *callList) {
	for cl := queue.head; cl != nil && k.roomLocked(); cl = queue.head {
		admitted, err := k.admitsLocked(cl)
		if err == nil && !admitted {
			return
		}
		if err == nil {
			queue.remove(cl)
			if err = k.encodeLocked(cl); err != nil || cl.conn == nil {
				queue.pushFront(cl)
			}
		}
		if err != nil {
			k.c.failLocked(cl, cl.refused(err))
		} else if cl.conn == nil {
			return
		}
	}
}

// wakeLocked has the writer write.
func (k *conn) wakeLocked() {
	k.resumeLocked()
	if !k.awake {
		k.awake = true
		k.wake <- struct{}{} // never waits: it has room, and awake is reset by who receives
	}
}

// sendAndUnlock sees to it that the output is written. When there is nothing
// else under way, and no other callers are likely to come at once, the caller
// writes it itself, which saves a switch of goroutines; else the writer does, so
// that callers share a write. It reports whether the caller, who is w, is to read
// what it waits for; w is nil if it waits for nothing.
func (c *Client) sendAndUnlock(k *conn, w waiter) (reads bool) {
	if !k.inline || k.writing || k.awake || k.crowded || k.sent.n > 1 || c.queue.n > 0 || k.taken+uint64(len(k.out))-k.read > inlineBytes {
		k.wakeLocked()
		c.mu.Unlock()
		return false
	}
	k.fillLocked()
	if len(k.out) == 0 {
		reads = k.takeTurnLocked(w)
		c.mu.Unlock()
		return reads
	}
	buf := k.takeLocked()
	c.mu.Unlock()
	_, err := k.stream.Write(buf)
	c.mu.Lock()
	k.giveBackLocked(buf)
	if len(k.out) > 0 || c.queue.n > 0 || k.bound.n > 0 || len(k.dirty) > 0 || len(c.opening) > 0 {
		k.wakeLocked()
	}
	reads = k.takeTurnLocked(w)
	c.mu.Unlock()
	if err != nil {
		k.writeFailed(err)
	}
	return reads
}

// writeFailed closes the stream, but not at once: the server may have said why
// it does not read any more, and the reader should come to that, and to the end
// of the stream, by itself.
func (k *conn) writeFailed(err error) {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	if !k.dead && k.farewell == nil {
		k.farewell = time.AfterFunc(farewell, func() { k.shut(err) })
	}
}

// takeLocked takes the output for writing.
func (k *conn) takeLocked() []byte {
	buf := k.out
	k.taken += uint64(len(buf))
	k.out, k.spare = k.spare[:0], nil
	k.writing = true
	return buf
}

func (k *conn) giveBackLocked(buf []byte) {
	k.writing = false
	if cap(buf) <= keptBuffer {
		k.spare = buf
	}
}

// write writes the output whenever it is woken, until the connection is over.
func (k *conn) write() {
	defer close(k.wrote)
	c := k.c
	failed := false // then this only waits for the reader to wind up
	for {
		<-k.wake
		// Callers that were woken together get to put in their next calls, so
		// that one write takes them all.
		runtime.Gosched()
		c.mu.Lock()
		for {
			k.fillLocked()
			if k.dead {
				c.mu.Unlock()
				return
			}
			if len(k.out) == 0 || k.writing || failed {
				break
			}
			buf := k.takeLocked()
			c.mu.Unlock()
			_, err := k.stream.Write(buf)
			c.mu.Lock()
			k.giveBackLocked(buf)
			if err != nil {
				failed = true
				c.mu.Unlock()
				k.writeFailed(err)
				c.mu.Lock()
			}
		}
		k.awake = false
		c.mu.Unlock()
	}
}

// tick looks whether the server lives. It needs no clock on the path of a call:
// the reader only sets a flag.
func (k *conn) tick() {
	c := k.c
	interval := c.o.KeepAliveInterval
	c.mu.Lock()
	if k.dead {
		c.mu.Unlock()
		return
	}
	if k.heard.Swap(false) {
		k.idle, k.pinged = 0, false
		k.useful.Store(true) // it has lasted
	} else {
		k.idle += interval / ticks
	}
	if k.idle >= c.o.KeepAliveTimeout {
		c.mu.Unlock()
		k.shut(&mld.Error{Code: mld.CodeConnectionLost, Where: k.where, Msg: fmt.Sprintf("nothing came for %v (KeepAliveTimeout)", c.o.KeepAliveTimeout)})
		return
	}
	if k.idle >= interval && !k.pinged {
		if id := k.idLocked(); id != 0 {
			k.out = wire.AppendGetMany(k.out, id, nil, 0)
			k.wakeLocked()
		}
		k.pinged = true
	}
	k.timer.Reset(interval / ticks)
	c.mu.Unlock()
}

// lively notes for keep-alive that bytes came: any of them, also within a frame
// that takes long, and empty frames.
type lively struct{ k *conn }

func (l lively) Read(p []byte) (int, error) {
	n, err := l.k.input.Read(p)
	if n > 0 {
		l.k.heard.Store(true)
	}
	return n, err
}

// lostCause words the end of a stream.
func lostCause(err error) error {
	switch {
	case err == io.EOF:
		return errors.New("the server closed the connection")
	case err == io.ErrUnexpectedEOF:
		return errors.New("the connection ended within a message")
	}
	return err
}
