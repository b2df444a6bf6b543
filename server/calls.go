package server

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// reader returns what the read in c.req is to read from.
func (c *conn) reader() (mld.Reader, error) {
	if c.req.Snapshot == 0 {
		return c.srv.visible, nil
	}
	if s, ok := c.snapshots[c.req.Snapshot]; ok {
		return s.Snapshot, nil
	}
	return nil, &mld.Error{Code: mld.CodeSnapshotLost, Msg: fmt.Sprintf("this connection has no snapshot %d", c.req.Snapshot)}
}

func (c *conn) get() error {
	r, err := c.reader()
	if err != nil {
		return c.fail(err)
	}
	value, pin, err := mld.GetPinned(c.ctx, r, c.req.Key)
	if err != nil {
		return c.fail(err)
	}
	if pin != nil {
		defer pin.Close()
	}
	if err := c.room(len(value) + overhead); err != nil {
		return c.fail(err)
	}
	c.out = wire.AppendValue(c.out, c.req.ID, value)
	return nil
}

// overhead is more than what the wire adds to the bytes of a value or an entry.
const overhead = 64

func (c *conn) getMany() error {
	r, err := c.reader()
	if err != nil {
		return c.fail(err)
	}
	most := c.srv.opts.Limits.Answer
	var answer wire.Many
	c.out = answer.Begin(c.out, c.req.ID)
	if len(c.req.Keys) > 0 {
		err = mld.GetEach(c.ctx, r, c.req.Keys, func(_ int, value []byte) error {
			if answer.Size(c.out)+len(value) > most {
				return errLimit("bytes of an answer to a get-many", most, "max-answer")
			}
			if err := c.mayAnswer(answer.Size(c.out) + len(value)); err != nil {
				return err
			}
			if err := c.room(len(value) + overhead); err != nil {
				return err
			}
			c.out = answer.Add(c.out, value)
			return nil
		})
	}
	if err != nil {
		c.out = answer.Cancel(c.out)
		return c.fail(err)
	}
	c.out = answer.End(c.out)
	return nil
}

// snapshot takes or releases the snapshot that c.req names.
func (c *conn) snapshot() error {
	held, ok := c.snapshots[c.req.Snapshot]
	var err error
	switch {
	case c.req.Tag == wire.TagSnapshotClose && ok:
		// The client should have closed its iterators before.
		for _, it := range c.iterators {
			if it.snapshot == c.req.Snapshot {
				it.lose(&mld.Error{Code: mld.CodeSnapshotLost, Msg: "the snapshot was closed before its iterator"})
			}
		}
		if c.tenant != nil {
			c.srv.abandon(c.tenant, c.req.Snapshot)
		}
		delete(c.snapshots, c.req.Snapshot)
		err = held.Close()
		c.srv.snapshots.Add(-1)
	case c.req.Tag == wire.TagSnapshotClose:
	case ok && held.inherited: // the answer to its taking was lost
	case ok:
		err = &mld.Error{Code: mld.CodeProtocol, Msg: fmt.Sprintf("this connection has a snapshot %d already", c.req.Snapshot)}
	case len(c.snapshots) >= c.srv.opts.Limits.Snapshots:
		err = errLimit("snapshots of a connection", c.srv.opts.Limits.Snapshots, "max-snapshots")
	default:
		err = c.openSnapshot()
	}
	if err != nil {
		return c.fail(err)
	}
	c.out = wire.AppendOK(c.out, c.req.ID)
	return nil
}

func (c *conn) openSnapshot() error {
	if err := admit(&c.srv.snapshots, "snapshots of all connections", c.srv.opts.Limits.TotalSnapshots, "max-total-snapshots"); err != nil {
		return err
	}
	s, err := c.srv.visible.NewSnapshot(c.ctx)
	if err != nil {
		c.srv.snapshots.Add(-1)
		return err
	}
	if c.snapshots == nil {
		c.snapshots = make(map[uint32]*snapshot)
	}
	c.snapshots[c.req.Snapshot] = &snapshot{Snapshot: s, opened: time.Now()}
	return nil
}

// stats answers with what the server and its store tell of themselves.
func (c *conn) stats() error {
	stats, err := c.srv.Stats(c.ctx)
	if err != nil {
		return c.fail(err)
	}
	text, err := json.Marshal(stats)
	if err != nil {
		return c.fail(err)
	}
	c.out = wire.AppendValue(c.out, c.req.ID, text)
	return nil
}
