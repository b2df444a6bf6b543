package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// Get returns the value of key, or [mld.ErrNotFound].
func (c *Client) Get(ctx context.Context, key []byte) ([]byte, error) { return c.get(ctx, key, nil) }

// GetMany returns one value for each key, in the order of keys; nil where there
// is none. All come from one state of the store, if the server is of this
// project.
func (c *Client) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return c.getMany(ctx, keys, nil)
}

func (c *Client) get(ctx context.Context, key []byte, s *Snapshot) ([]byte, error) {
	cl := c.calls.get(wire.TagGet, s)
	cl.key, cl.size = key, len(key)
	err := c.do(ctx, cl)
	value := cl.result
	c.calls.put(cl)
	return value, err
}

func (c *Client) getMany(ctx context.Context, keys [][]byte, s *Snapshot) ([][]byte, error) {
	cl := c.calls.get(wire.TagGetMany, s)
	cl.keys = keys
	for _, k := range keys {
		cl.size += len(k)
	}
	err := c.do(ctx, cl)
	values := cl.many
	c.calls.put(cl)
	return values, err
}

// Put sets the value of key.
func (c *Client) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	cl := c.calls.get(wire.TagPut, nil)
	cl.key, cl.value, cl.size = key, value, len(key)+len(value)
	return c.write(ctx, cl, o)
}

// Delete removes key. A key that is not there is no error.
func (c *Client) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	cl := c.calls.get(wire.TagDelete, nil)
	cl.key, cl.size = key, len(key)
	return c.write(ctx, cl, o)
}

// Apply does the operations of a batch in order, all or none. One that removes a
// range is refused with [mld.ErrUnsupported], for servers do not know it.
func (c *Client) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	for i, op := range b.Ops() {
		switch op.Kind {
		case mld.OpPut, mld.OpDelete:
		case mld.OpDeleteRange:
			return &mld.Error{Code: mld.CodeUnsupported, Op: "batch", Key: bytes.Clone(op.Key), Msg: fmt.Sprintf("operation %d removes a range, which servers take as a Clear alone", i)}
		default:
			return &mld.Error{Code: mld.CodeInvalidArgument, Op: "batch", Key: bytes.Clone(op.Key), Msg: fmt.Sprintf("operation %d is of unknown kind %d", i, op.Kind)}
		}
	}
	cl := c.calls.get(wire.TagBatch, nil)
	cl.ops, cl.size = b.Ops(), b.Size()
	return c.write(ctx, cl, o)
}

// Clear removes the entries of a range.
func (c *Client) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	cl := c.calls.get(wire.TagClear, nil)
	cl.rng = wireRange(r)
	cl.size = rangeSize(&cl.rng)
	return c.write(ctx, cl, o)
}

func (c *Client) write(ctx context.Context, cl *call, o *mld.WriteOptions) error {
	cl.durability = o.Durable(mld.DurabilityDefault)
	err := c.do(ctx, cl)
	c.calls.put(cl)
	return err
}

// Stats returns what the server's store tells of itself, [mld.ErrUnsupported]
// if the server has no way to tell.
func (c *Client) Stats(ctx context.Context) (mld.Stats, error) {
	cl := c.calls.get(wire.TagStats, nil)
	err := c.do(ctx, cl)
	text := cl.result
	c.calls.put(cl)
	var stats mld.Stats
	if err == nil {
		if err = json.Unmarshal(text, &stats); err != nil {
			err = &mld.Error{Code: mld.CodeProtocol, Op: "stats", Msg: "the server's answer is not JSON", Err: err}
		}
	}
	return stats, err
}

// do issues a call and waits for its answer, or for the end of the context.
func (c *Client) do(ctx context.Context, cl *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if err := c.issueLocked(cl); err != nil {
		c.mu.Unlock()
		return cl.describe(err)
	}
	if k := cl.conn; k != nil {
		if c.sendAndUnlock(k, cl) {
			k.readAnswer(ctx, cl.done)
		}
	} else {
		c.mu.Unlock()
	}
	if ended := ctx.Done(); ended != nil {
		select {
		case <-cl.done:
		case <-ended:
			if err := c.abandon(cl, ctx.Err()); err != nil {
				return err
			}
			<-cl.done
		}
	} else {
		<-cl.done
	}
	if cl.err != nil && cl.err != mld.ErrNotFound {
		return cl.describe(cl.err)
	}
	return cl.err
}

// issueLocked puts a call on its way: into the output of the connection, or, if
// others wait before it or there is no room, into a queue.
func (c *Client) issueLocked(cl *call) error {
	if c.closed.Load() {
		return mld.ErrClosed
	}
	k, queue := c.conn, &c.queue
	if cl.snap != nil {
		if err := cl.snap.usableLocked(); err != nil {
			return err
		}
		if !cl.snap.conn.dead {
			k = cl.snap.conn
			queue = &k.bound
		}
	}
	if err := c.admitLocked(cl.size); err != nil {
		return err
	}
	if k == nil || queue.n > 0 || !k.roomLocked() {
		queue.push(cl)
		return nil
	}
	admitted, err := k.admitsLocked(cl)
	if admitted && err == nil {
		err = k.encodeLocked(cl)
	}
	if err != nil {
		c.session.drop(cl)
		c.dismissLocked(cl.size)
		return err
	}
	if cl.conn == nil { // it is not admitted yet, or the connection has no ids left
		queue.push(cl)
	}
	return nil
}

// abandon takes a call that is still pending back, on behalf of a caller whose
// context has ended, and returns the caller's error. What has not been written
// yet is blanked, and so never sent: each byte of 0 is an empty frame, which
// every peer passes over. A numbered write that may have left is not taken back
// but goes on by itself until it is settled. Abandon returns nil if the call is
// not pending any more.
func (c *Client) abandon(cl *call, cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl.list == nil {
		return nil
	}
	cl.left = cl.departed()
	err := c.endedLocked(cl, cause)
	if cl.left && cl.n != 0 {
		cl.detach()
		c.detachedBytes += cl.size
		return err
	}
	k := cl.conn
	if k != nil && cl.start >= k.taken {
		k.blankLocked(cl)
	} else if k != nil && cl.tag == wire.TagSnapshotOpen {
		// The server has it, or will.
		if id := k.idLocked(); id != 0 {
			k.out = wire.AppendSnapshotClose(k.out, id, cl.number)
			k.wakeLocked()
		}
	}
	c.removeLocked(cl)
	if k != nil {
		k.retireIfIdleLocked()
	}
	return err
}

// removeLocked takes a pending call out of all lists.
func (c *Client) removeLocked(cl *call) {
	if cl.conn != nil {
		cl.conn.table.remove(cl)
	}
	cl.list.remove(cl)
	c.session.drop(cl)
	if cl.detached {
		c.detachedBytes -= cl.size
	}
	c.dismissLocked(cl.size)
}

// endedLocked returns the error of a call whose context has ended.
func (c *Client) endedLocked(cl *call, cause error) error {
	var away string
	switch {
	case c.state != Ready:
		away = "there is no connection"
		if c.lastErr != nil {
			away += ": " + c.lastErr.Error()
		}
	case c.lastErr != nil && c.conn != nil && !c.conn.useful.Load():
		// A server that ends at once is connected to again and again.
		away = "the last connection ended, and nothing has come from the new one: " + c.lastErr.Error()
	}
	switch {
	case cl.isWrite():
		return cl.unanswered(cause, away)
	case away == "":
		return cause
	default:
		return fmt.Errorf("%w; %s", cause, away)
	}
}

// unanswered returns the error of a write that ends without an answer.
func (cl *call) unanswered(cause error, msg string) error {
	code := mld.CodeNotSent
	if cl.left {
		code = mld.CodeOutcomeUnknown
	}
	return cl.describe(&mld.Error{Code: code, Msg: msg, Err: cause})
}

// refused returns the error of a call that a connection does not take.
func (cl *call) refused(err error) error {
	if cl.left && cl.isWrite() {
		return cl.unanswered(err, "it was sent before, and cannot be sent again")
	}
	return err
}

// describe returns err with what was tried and on which key, if err is an
// [mld.Error] that does not say.
func (cl *call) describe(err error) error {
	e, ok := err.(*mld.Error)
	if !ok || e.Op != "" {
		return err
	}
	d := *e
	d.Op = wire.TagName(cl.tag)
	if cl.key != nil {
		d.Key = bytes.Clone(cl.key)
	}
	return &d
}
