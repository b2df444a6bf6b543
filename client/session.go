package client

import (
	"crypto/rand"
	"fmt"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// ExactlyOnce is whether writes are numbered, so that a server that is sent one
// again does not do it again.
type ExactlyOnce uint8

const (
	// ExactlyOnceAuto numbers writes where the server heeds it. With any other,
	// such as a host of the npm packages, a write whose connection is lost is
	// done at least once.
	ExactlyOnceAuto ExactlyOnce = iota
	// ExactlyOnceRequire sends no write to a server that does not heed numbers:
	// it fails with [mld.ErrUnsupported].
	ExactlyOnceRequire
	// ExactlyOnceOff numbers nothing: writes are done at least once.
	ExactlyOnceOff
)

// String returns "auto", "require" or "off".
func (e ExactlyOnce) String() string {
	switch e {
	case ExactlyOnceAuto:
		return "auto"
	case ExactlyOnceRequire:
		return "require"
	case ExactlyOnceOff:
		return "off"
	}
	return fmt.Sprintf("exactly-once %d", uint8(e))
}

const (
	// maxWindow is the most that the numbers of writes under way may span;
	// a server may allow less.
	maxWindow = 1024

	// firstWindow is how many writes are sent before it is known how many a
	// server allows.
	firstWindow = 64
)

// A session is the numbering of a client's writes, 1, 2, 3 and so on, and the id
// under which servers know it; everything in it is guarded by the client's
// mutex. A write gets its number when it is first encoded, in the order in which
// writes were issued, and keeps it when it is sent again. The server must see
// the numbers in order, so the list of the unanswered ones, which is in order of
// their numbers, is also in that of the places in the queue, and there is no
// second connection while one has writes under way (see conn.released). A number
// that is not sent after all is left out.
type session struct {
	id       wire.ClientID
	taken    bool          // a server has taken it up,
	store    wire.ClientID // which serves this store
	answered bool          // a write was answered, so the server knows it
	last     uint64        // number given
	head     *call         // of the numbered calls without an answer
	tail     *call
}

func newSession() *session {
	s := &session{}
	rand.Read(s.id[:]) // never fails
	return s
}

// number gives a write its number, if it has none, and puts that into its
// message, which begins at start.
func (s *session) number(dst []byte, start int, cl *call) []byte {
	if cl.n == 0 {
		s.last++
		cl.n = s.last
		cl.lower = s.tail
		if s.tail != nil {
			s.tail.higher = cl
		} else {
			s.head = cl
		}
		s.tail = cl
	}
	return wire.NumberWrite(dst, start, cl.n, s.head.n-1)
}

// drop takes its number away from a call, if it has one.
func (s *session) drop(cl *call) {
	if cl.n == 0 {
		return
	}
	if cl.lower != nil {
		cl.lower.higher = cl.higher
	} else {
		s.head = cl.higher
	}
	if cl.higher != nil {
		cl.higher.lower = cl.lower
	} else {
		s.tail = cl.lower
	}
	cl.n, cl.lower, cl.higher = 0, nil, nil
}

// within reports whether a write may be sent by a window.
func (s *session) within(cl *call, window uint64) bool {
	if s.head == nil {
		return true
	}
	n := cl.n
	if n == 0 {
		n = s.last + 1
	}
	return n-s.head.n < window
}

// offers reports whether the server is known to have a feature.
func (k *conn) offers(f wire.Features) bool { return k.features&f != 0 }

// numbersLocked reports whether writes are numbered on the connection: also
// before it is known what the server makes of it, for others pass the numbers
// over.
func (k *conn) numbersLocked() bool {
	return k.c.o.ExactlyOnce != ExactlyOnceOff && (!k.known || k.offers(wire.FeatureSessions))
}

// admitsLocked reports whether a call may be encoded now. If not, it waits at
// the head of its queue. An error refuses it.
//
// What depends on the server waits until it is known what that is. Writes wait
// as well when the session has been taken up by a server: another one might do
// again what that has done already.
func (k *conn) admitsLocked(cl *call) (bool, error) {
	c := k.c
	numbered := cl.isWrite() && c.o.ExactlyOnce != ExactlyOnceOff
	if !k.known {
		if k.meeter != nil {
			return false, nil // its welcome comes unasked
		}
		if cl.size > certainBytes || cl.needs() != 0 || cl.snap != nil && cl.snap.conn != k ||
			numbered && (c.session.taken || c.o.ExactlyOnce == ExactlyOnceRequire) {
			k.askLocked()
			return false, nil
		}
	} else if cl.needs()&^k.features != 0 {
		return false, &mld.Error{Code: mld.CodeUnsupported, Where: k.where, Msg: "the server does not offer it"}
	}
	if cl.snap != nil {
		return true, cl.snap.moveLocked(k)
	}
	switch {
	case !numbered:
		return true, nil
	case k.numbersLocked():
		return k.session == c.session && c.session.within(cl, k.window), nil
	case c.o.ExactlyOnce == ExactlyOnceRequire:
		return false, k.noSessions()
	}
	return true, nil
}

// noSessions returns the error of a write that requires a session.
func (k *conn) noSessions() error {
	if k.readOnly {
		return &mld.Error{Code: mld.CodeReadOnly, Where: k.where}
	}
	return &mld.Error{Code: mld.CodeUnsupported, Where: k.where, Msg: "the server cannot promise to do a write once, which ExactlyOnce requires"}
}

// askLocked asks the server for a sign by which it is known. Every server
// answers an empty get-many, and one of this project only after its welcome.
func (k *conn) askLocked() {
	if k.asked {
		return
	}
	k.asked = true
	if id := k.idLocked(); id != 0 {
		k.out = wire.AppendGetMany(k.out, id, nil, 0)
		k.wakeLocked()
	} else {
		k.retireLocked(errNoIDs)
	}
}

// welcomeLocked takes note of what the server says of itself.
func (k *conn) welcomeLocked(w *wire.Welcome) {
	if k.known {
		return
	}
	k.features, k.maxFrame, k.readOnly, k.instance = w.Features, w.MaxFrame, w.ReadOnly, w.Instance
	k.window = min(uint64(w.Window), maxWindow)
	if w.Window == 0 {
		k.window = maxWindow
	}
	k.knownLocked(w.Store)
}

// knownLocked settles what becomes of the session, now that it is known what the
// server is: a server without a welcome is one of the npm packages.
func (k *conn) knownLocked(store wire.ClientID) {
	if k.known {
		return
	}
	k.known = true
	s, offered := k.c.session, k.offers(wire.FeatureSessions)
	switch {
	case k.c.o.ExactlyOnce == ExactlyOnceOff || k.session != s:
	case offered && !s.taken:
		s.taken, s.store = true, store
	case s.taken && !offered:
		k.loseSessionLocked(&mld.Error{Code: mld.CodeSessionLost, Where: k.where, Msg: "the server has no sessions, and the one before had"})
	case s.taken && s.store != store:
		k.loseSessionLocked(&mld.Error{Code: mld.CodeSessionLost, Where: k.where, Msg: "the server has another store than before"})
	case !offered:
		// Numbers mean nothing here.
		for cl := s.head; cl != nil; cl = s.head {
			if cl.detached {
				k.c.failLocked(cl, nil)
			} else {
				s.drop(cl)
			}
		}
	}
	k.wakeLocked()
}

// loseSessionLocked begins a new session, as the server does not know the one
// of the connection. Writes that were sent on a connection before it may have
// been done, and the server cannot tell. All others have not been: a session is
// lost for the whole of a connection. They go into the new session, in their
// order, on the next connection, whose hello names it.
func (k *conn) loseSessionLocked(cause error) {
	c, s := k.c, k.session
	for cl := s.head; cl != nil; cl = s.head {
		switch n := cl.n; {
		case cl.detached:
			c.failLocked(cl, nil)
		case cl.left:
			c.failLocked(cl, cl.describe(&mld.Error{
				Code: mld.CodeOutcomeUnknown,
				Msg:  fmt.Sprintf("write %d of session %x was sent, and the server cannot tell whether it was done", n, s.id),
				Err:  cause,
			}))
		default:
			s.drop(cl)
		}
	}
	c.session, c.leftovers = newSession(), nil
	c.o.Logger.Warn("session lost", "address", k.where, "session", fmt.Sprintf("%x", s.id), "error", cause)
	if k.offers(wire.FeatureSessions) {
		k.refuses, k.cause = true, cause
		c.wg.Go(func() { k.shut(cause) })
	}
}

// detach lets a write go on without its caller, whose memory it must not refer
// to any more.
func (cl *call) detach() {
	cl.detached = true
	cl.key, cl.value, cl.rng = clone(cl.key), clone(cl.value), cl.rng.Clone()
	ops := make([]mld.Op, len(cl.ops))
	for i, op := range cl.ops {
		ops[i] = mld.Op{Kind: op.Kind, Key: clone(op.Key), Value: clone(op.Value)}
	}
	cl.ops = ops
}

// clone copies a slice; nil stays nil.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// endSessionLocked has the server told that the session will not be used any
// more, and returns the call whose answer says that it has read that; nil if it
// need not be told, or cannot.
func (c *Client) endSessionLocked() *call {
	k := c.conn
	if k == nil || k.dead || !k.offers(wire.FeatureSessions|wire.FeatureLeases) || k.session != c.session ||
		c.session.last == 0 && len(k.iterators) == 0 && k.snapshots == 0 {
		return nil
	}
	id := k.idLocked()
	if id == 0 {
		return nil
	}
	k.out = wire.AppendSessionEnd(k.out, id)
	cl := c.calls.get(wire.TagGetMany, nil)
	if c.admitLocked(0) != nil {
		return nil
	}
	if k.encodeLocked(cl) != nil || cl.conn == nil {
		c.dismissLocked(0)
		return nil
	}
	k.wakeLocked()
	return cl
}
