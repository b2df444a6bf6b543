package client

import (
	"context"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// Snapshot is a state of the server's store. It lives on the connection that it
// was taken on: when that is lost, its reads return [mld.ErrSnapshotLost]. Its
// methods may be called together.
type Snapshot struct {
	c      *Client
	conn   *conn
	number uint32
	closed bool // under the client's mutex
}

var _ mld.Snapshot = (*Snapshot)(nil)

// NewSnapshot takes a snapshot of the present state. It returns
// [mld.ErrUnsupported] if the server does not offer that, as the hosts of the
// npm packages do not.
func (c *Client) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	cl := c.calls.get(wire.TagSnapshotOpen, nil)
	err := c.do(ctx, cl)
	s := &Snapshot{c: c, conn: cl.conn, number: cl.id}
	c.calls.put(cl)
	if err != nil {
		return nil, err
	}
	return s, nil
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

// Close releases the snapshot. It does not wait for the server.
func (s *Snapshot) Close() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	k := s.conn
	if s.closed || k.dead {
		s.closed = true
		return nil
	}
	s.closed = true
	k.snapshots--
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
	case s.conn.dead:
		return errSnapshotLost(s.conn.cause)
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
