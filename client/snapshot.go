package client

import (
	"context"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// Snapshot is a state of the server's store. The server leases it: it outlives
// the connection that it was taken on for a while, but not the server's process.
// When it is gone, its reads return [mld.ErrSnapshotLost]. With a server that
// does not lease snapshots, it is gone with the connection. Its methods may be
// called together.
type Snapshot struct {
	c      *Client
	number uint32

	// Under the client's mutex.
	conn     *conn    // where it is read
	session  *session // of the connection that it was taken on,
	instance uint64   // and the process of the server; 0 without a lease
	closed   bool
}

var _ mld.Snapshot = (*Snapshot)(nil)

// NewSnapshot takes a snapshot of the present state. It returns
// [mld.ErrUnsupported] if the server does not offer that, as the hosts of the
// npm packages do not.
func (c *Client) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	cl := c.calls.get(wire.TagSnapshotOpen, nil)
	if err := c.do(ctx, cl); err != nil {
		c.calls.put(cl)
		return nil, err
	}
	k := cl.conn
	s := &Snapshot{c: c, number: cl.number, conn: k, session: k.session}
	c.calls.put(cl)
	c.mu.Lock()
	if k.offers(wire.FeatureLeases) {
		s.instance = k.instance
	}
	c.mu.Unlock()
	return s, nil
}

// snapshotNumberLocked returns a number for a snapshot, which is not used again
// before all others have been, and is not 0.
func (c *Client) snapshotNumberLocked() uint32 {
	c.lastSnapshot++
	if c.lastSnapshot == 0 {
		c.lastSnapshot = 1
	}
	return c.lastSnapshot
}

// Get returns the value of key, or [mld.ErrNotFound].
func (s *Snapshot) Get(ctx context.Context, key []byte) ([]byte, error) { return s.c.get(ctx, key, s) }

// GetMany returns one value for each key, nil where there is none.
func (s *Snapshot) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return s.c.getMany(ctx, keys, s)
}

// NewIterator returns an iterator over a range of the snapshot.
func (s *Snapshot) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	return s.c.newIterator(ctx, o, s)
}

// Close releases the snapshot. It does not wait for the server; where there is no
// connection, the server is told when there is one.
func (s *Snapshot) Close() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	k := s.conn
	if next := s.c.conn; k.dead && next != nil && s.readableLocked(next) {
		k = next
	} else if k.dead {
		if s.leased() && s.session == s.c.session {
			s.c.leaveLocked(leftover{snapshot: s.number})
		}
		return nil
	} else {
		k.snapshots--
	}
	if id := k.idLocked(); id != 0 {
		k.out = wire.AppendSnapshotClose(k.out, id, s.number)
		k.wakeLocked()
	}
	k.retireIfIdleLocked()
	return nil
}

// usableLocked returns why the snapshot cannot be read, or nil.
func (s *Snapshot) usableLocked() error {
	switch {
	case s.closed || s.c.closed.Load():
		return mld.ErrClosed
	case s.conn.dead && !s.leased():
		return errSnapshotLost(s.conn.cause)
	}
	return nil
}

// leased reports whether the snapshot may outlive its connection.
func (s *Snapshot) leased() bool { return s.instance != 0 }

// readableLocked reports whether a connection's server has the snapshot, as far
// as is known here.
func (s *Snapshot) readableLocked(k *conn) bool {
	return s.leased() && k.session == s.session && k.offers(wire.FeatureLeases) && k.instance == s.instance
}

// moveLocked has the snapshot be read on a connection whose server is known. It
// returns [mld.ErrSnapshotLost] if that is another one.
func (s *Snapshot) moveLocked(k *conn) error {
	if s.conn == k {
		return nil
	}
	if !s.readableLocked(k) {
		s.instance = 0 // it is lost for good
		return errSnapshotLost(s.conn.cause)
	}
	if !s.closed {
		s.conn = k
		k.snapshots++
	}
	return nil
}

// wireNumber returns the number on the wire, which for no snapshot is 0.
func (s *Snapshot) wireNumber() uint32 {
	if s == nil {
		return 0
	}
	return s.number
}
