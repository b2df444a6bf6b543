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

// get does a get from a snapshot.
func (c *conn) get() error {
	r, err := c.reader()
	if err != nil {
		return c.fail(err)
	}
	value, pin, err := mld.GetPinned(c.ctx, r, c.req.Key)
	if pin != nil {
		defer pin.Close()
	}
	return c.answerGet(c.req.ID, value, err)
}

// gets are gets of the store's present state that arrived together and are not
// answered yet. Their keys point into the input buffer, which holds still until
// more is read.
type gets struct {
	ids  []uint32
	keys [][]byte
	got  func(i int, value []byte, err error) error // answers one of them
}

// gatherGets is how many gets are done together. Their answers are then sent, so
// that the client goes on while the next are done: with 64 goroutines on a client
// gets were a quarter faster than with all that had arrived answered at once.
const gatherGets = 32

func (c *conn) gatherGet() error {
	c.gets.ids = append(c.gets.ids, c.req.ID)
	c.gets.keys = append(c.gets.keys, c.req.Key)
	if len(c.gets.ids) < gatherGets {
		return nil
	}
	if err := c.answerGets(); err != nil {
		return err
	}
	return c.flush()
}

// answerGets does the gathered gets and answers each.
func (c *conn) answerGets() error {
	g := &c.gets
	if len(g.ids) == 0 {
		return nil
	}
	err := mld.GetTogether(c.ctx, c.srv.visible, g.keys, g.got)
	g.ids, g.keys = g.ids[:0], g.keys[:0]
	return err
}

func (c *conn) answerGet(id uint32, value []byte, err error) error {
	if err == nil {
		err = c.room(len(value) + overhead)
	}
	switch {
	case err == nil:
		c.out = wire.AppendValue(c.out, id, value)
	case c.hopeless(err):
		return err
	default:
		c.out = wire.AppendError(c.out, c.dialect, id, err)
	}
	return c.flushFull()
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
