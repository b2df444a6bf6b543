package server

import (
	"context"
	"sync"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// tenant is what the server knows of a client beyond its connection. All of it
// is guarded by tenants.
type tenant struct {
	id     wire.ClientID
	owner  *conn         // whose it is; nil between connections
	latest *conn         // the newest connection of the client, which may wait for it
	freed  chan struct{} // closed when the owner lets go

	// What the client left open, by its own numbers, and when it did.
	left      time.Time
	iterators map[uint64]*iterator
	snapshots map[uint32]*snapshot
}

// tenants are the clients that have a connection or left something open.
type tenants struct {
	sync.Mutex
	byID   map[wire.ClientID]*tenant
	leases int // iterators and snapshots of all of them
}

// snapshot is one that a client has open.
type snapshot struct {
	mld.Snapshot
	opened    time.Time
	inherited bool // from an older connection
}

var errTakenOver error = &mld.Error{Code: mld.CodeClosed, Msg: "a newer connection of the same client has taken over"}

// attach makes c the connection of a client. An older one is cut, and waited for:
// what it was doing is done, or never will be, when attach returns.
func (s *Server) attach(c *conn, id wire.ClientID) error {
	ts := &s.tenants
	ts.Lock()
	defer ts.Unlock()
	t := ts.byID[id]
	if t == nil {
		t = &tenant{id: id}
		ts.byID[id] = t
	}
	older := t.latest
	if older != nil && older.info.ID > c.info.ID {
		return errTakenOver
	}
	t.latest = c
	if older != nil {
		// To close a stream can take time, as it does for TLS.
		s.wg.Go(func() { older.cut(errTakenOver) })
	}
	for t.owner != nil {
		freed := t.freed
		ts.Unlock()
		select {
		case <-freed:
		case <-c.ctx.Done():
		}
		ts.Lock()
		if t.latest != c {
			return errTakenOver
		}
		if c.ctx.Err() != nil {
			t.latest = t.owner
			ts.forget(t)
			return context.Cause(c.ctx)
		}
	}
	t.owner, t.freed = c, make(chan struct{})
	c.tenant, c.snapshots = t, t.snapshots
	for _, held := range c.snapshots {
		held.inherited = true
	}
	ts.leases -= len(t.snapshots)
	t.snapshots = nil
	return nil
}

// detach gives the tenant of a connection that has ended free, with what the
// connection leaves open and may.
func (s *Server) detach(c *conn) {
	if c.session != nil {
		if c.session.Dirty() {
			c.unsettle(true) // its last commit broke off
		}
		s.opts.Sessions.Release(c.session)
	}
	t := c.tenant
	if t == nil {
		return
	}
	ts := &s.tenants
	ts.Lock()
	defer ts.Unlock()
	t.left = time.Now()
	if !c.leaving && !s.isDraining() {
		s.leave(t, c)
	}
	t.owner = nil
	close(t.freed)
	if t.latest == c {
		t.latest = nil
	}
	ts.forget(t)
}

// leave moves what c has open, and may leave open, to its tenant.
func (s *Server) leave(t *tenant, c *conn) {
	room := func() bool {
		return s.opts.SnapshotLease > 0 && s.tenants.leases < s.opts.Limits.Leases &&
			len(t.iterators)+len(t.snapshots) < s.opts.Limits.ClientLeases
	}
	for number, held := range c.snapshots {
		if !room() || !s.young(held.opened, t.left) {
			continue
		}
		if t.snapshots == nil {
			t.snapshots = make(map[uint32]*snapshot)
		}
		t.snapshots[number] = held
		delete(c.snapshots, number)
		s.tenants.leases++
	}
	for id, it := range c.iterators {
		if it.lease == 0 || it.it == nil || t.iterators[it.lease] != nil || !room() || !s.young(it.opened, t.left) {
			continue
		}
		if it.snapshot != 0 && t.snapshots[it.snapshot] == nil {
			continue // it must be closed before its snapshot is
		}
		if t.iterators == nil {
			t.iterators = make(map[uint64]*iterator)
		}
		t.iterators[it.lease] = it
		delete(c.iterators, id)
		s.tenants.leases++
	}
}

// young reports whether what was opened then may outlive a connection.
func (s *Server) young(opened, now time.Time) bool {
	return s.opts.MaxSnapshotAge <= 0 || now.Sub(opened) < s.opts.MaxSnapshotAge
}

// forget drops a tenant of whom nothing is known. The caller holds ts.
func (ts *tenants) forget(t *tenant) {
	if t.owner == nil && t.latest == nil && len(t.iterators)+len(t.snapshots) == 0 {
		delete(ts.byID, t.id)
	}
}

// claim takes back the iterator that the client has under a number, from an older
// connection or on this one, or returns nil. It is not counted any more.
func (c *conn) claim(lease uint64) *iterator {
	ts := &c.srv.tenants
	ts.Lock()
	it := c.tenant.iterators[lease]
	if it != nil {
		delete(c.tenant.iterators, lease)
		ts.leases--
	}
	ts.Unlock()
	if it == nil && c.req.Resume {
		for id, open := range c.iterators {
			if open.lease == lease {
				it = open
				delete(c.iterators, id)
				break
			}
		}
	}
	if it == nil {
		return nil
	}
	c.srv.iterators.Add(-1)
	if it.it == nil { // it has failed
		return nil
	}
	return it
}

// abandon closes the iterators that an older connection left, and that read a
// snapshot which is about to be closed.
func (s *Server) abandon(t *tenant, number uint32) {
	s.tenants.Lock()
	defer s.tenants.Unlock()
	for lease, it := range t.iterators {
		if it.snapshot == number {
			s.discard(it)
			delete(t.iterators, lease)
			s.tenants.leases--
		}
	}
}

// expire closes what clients left open and did not come back for in time, or
// all of it.
func (s *Server) expire(now time.Time, all bool) {
	ts := &s.tenants
	ts.Lock()
	defer ts.Unlock()
	if ts.leases == 0 {
		return
	}
	before := ts.leases
	for _, t := range ts.byID {
		over := all || t.owner == nil && now.Sub(t.left) >= s.opts.SnapshotLease
		for lease, it := range t.iterators {
			if over || !s.young(it.opened, now) {
				s.discard(it)
				delete(t.iterators, lease)
				ts.leases--
			}
		}
		for number, held := range t.snapshots {
			if !over && s.young(held.opened, now) {
				continue
			}
			for lease, it := range t.iterators {
				if it.snapshot == number { // of the same age, or younger
					s.discard(it)
					delete(t.iterators, lease)
					ts.leases--
				}
			}
			held.Close()
			s.snapshots.Add(-1)
			delete(t.snapshots, number)
			ts.leases--
		}
		ts.forget(t)
	}
	s.counters.expired.Add(uint64(before - ts.leases))
}

// leased returns how many iterators and snapshots wait for their clients, and
// the time at which the oldest was opened.
func (s *Server) leased() (n int, oldest time.Time) {
	ts := &s.tenants
	ts.Lock()
	defer ts.Unlock()
	older := func(opened time.Time) {
		if oldest.IsZero() || opened.Before(oldest) {
			oldest = opened
		}
	}
	if ts.leases > 0 {
		for _, t := range ts.byID {
			for _, it := range t.iterators {
				older(it.opened)
			}
			for _, held := range t.snapshots {
				older(held.opened)
			}
		}
	}
	return ts.leases, oldest
}
