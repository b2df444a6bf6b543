package client

import (
	"context"
	"fmt"

	"github.com/multileveldown/mld"
)

// State is what a client is about.
type State uint8

const (
	// Connecting: there has been no connection yet.
	Connecting State = iota
	// Ready: there is a connection.
	Ready
	// Reconnecting: the connection was lost, or is about to be closed by the
	// server, and there is no other one yet.
	Reconnecting
	// Closed: Close was called.
	Closed
)

// String returns "connecting", "ready", "reconnecting" or "closed".
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Ready:
		return "ready"
	case Reconnecting:
		return "reconnecting"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// State returns the present state.
func (c *Client) State() State {
	s, _ := c.Watch()
	return s
}

// LastError returns why the last connection, or the last attempt at one, ended,
// or nil.
func (c *Client) LastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastErr
}

// Watch returns the present state and a channel that is closed when it changes.
func (c *Client) Watch() (State, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.stateChanged
}

// WaitReady waits for a connection. It returns [mld.ErrClosed] when the client
// is closed; when the context ends first, its error with the reason why there
// is no connection.
func (c *Client) WaitReady(ctx context.Context) error {
	for {
		state, changed := c.Watch()
		switch state {
		case Ready:
			return nil
		case Closed:
			return &mld.Error{Code: mld.CodeClosed, Op: "wait"}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.endedLocked(&call{}, ctx.Err())
		}
	}
}

// setState takes note of a state and tells whoever listens. Only run calls it,
// so states come in order.
func (c *Client) setState(s State, err error) {
	c.mu.Lock()
	changed := c.state != s
	c.state = s
	if err != nil {
		c.lastErr = err
	}
	err = c.lastErr
	if changed {
		close(c.stateChanged)
		c.stateChanged = make(chan struct{})
	}
	c.mu.Unlock()
	if changed && c.o.Events.OnState != nil {
		c.o.Events.OnState(s, err)
	}
}

// IsFlushed reports whether no call waits for an answer, nor a write whose
// context has ended.
func (c *Client) IsFlushed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending == 0
}

// Pending returns how many calls wait for an answer, writes whose contexts have
// ended among them.
func (c *Client) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending
}

// WaitFlushed waits until no call waits for an answer. New calls do not make it
// wait longer once there was a moment without.
func (c *Client) WaitFlushed(ctx context.Context) error {
	c.mu.Lock()
	if c.pending == 0 {
		c.mu.Unlock()
		return ctx.Err()
	}
	if c.flushed == nil {
		c.flushed = make(chan struct{})
	}
	flushed := c.flushed
	c.mu.Unlock()
	select {
	case <-flushed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// admitLocked counts one more call that waits, or refuses it.
func (c *Client) admitLocked(size int) error {
	if c.detachedBytes > 0 && c.detachedBytes+size > c.o.MaxPendingBytes {
		return &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("writes of %d bytes whose callers have left wait for their answers (MaxPendingBytes is %d)", c.detachedBytes, c.o.MaxPendingBytes)}
	}
	if c.conn == nil {
		switch {
		case c.pending >= c.o.MaxPending:
			return &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("%d calls wait for a connection already (MaxPending)", c.pending)}
		case c.pendingBytes+size > c.o.MaxPendingBytes:
			return &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("with this call's %d bytes more than %d would wait for a connection (MaxPendingBytes)", size, c.o.MaxPendingBytes)}
		}
	}
	c.pending++
	c.pendingBytes += size
	return nil
}

// dismissLocked undoes admitLocked.
func (c *Client) dismissLocked(size int) {
	c.pending--
	c.pendingBytes -= size
	if c.pending == 0 && c.flushed != nil {
		close(c.flushed)
		c.flushed = nil
	}
}
