package client

import "github.com/multileveldown/mld/wire"

// maxLeftovers is how many leases are ended late; the server ends what is above
// that when it is not asked for in time.
const maxLeftovers = 256

// A leftover is what the server may still keep although it was closed here, for
// there was no connection to say so: an iterator, by its lease, or a snapshot, by
// its number.
type leftover struct {
	lease    uint64
	snapshot uint32
}

// leaveLocked has the server told, as soon as there is one, to end what it keeps.
func (c *Client) leaveLocked(l leftover) {
	if c.closed.Load() || len(c.leftovers) >= maxLeftovers {
		return
	}
	c.leftovers = append(c.leftovers, l)
	if c.conn != nil && c.conn.known {
		c.conn.wakeLocked()
	}
}

// clearUpLocked tells the server to end what is left over, once it is known what
// the server is. One that keeps nothing need not be told.
func (k *conn) clearUpLocked() {
	c := k.c
	if len(c.leftovers) == 0 || c.conn != k || !k.known {
		return
	}
	if !k.offers(wire.FeatureLeases) || k.session != c.session {
		c.leftovers = nil
		return
	}
	for len(c.leftovers) > 0 && k.roomLocked() {
		l := c.leftovers[0]
		c.leftovers = c.leftovers[1:]
		if l.lease == 0 {
			if id := k.idLocked(); id != 0 {
				k.out = wire.AppendSnapshotClose(k.out, id, l.snapshot)
			}
			continue
		}
		if k.lastIter == maxID {
			continue
		}
		k.lastIter++
		// To go on with an iterator for no more entries, and to close it.
		k.out = wire.AppendIterator(k.out, k.dialect, &wire.IteratorOpen{ID: k.lastIter, Keys: true, Credit: 1, Lease: l.lease, Resume: true})
		k.out = wire.AppendIteratorClose(k.out, k.dialect, k.lastIter)
	}
}
