package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/backoff"
)

// endWait is how long Close waits for an answer.
const endWait = time.Second

// DialFunc makes a stream to a server. It must return when the context ends,
// which happens after Options.DialTimeout and when the client is closed. The
// stream is closed by the client; its Close must end a Read and a Write that
// are under way. It may also be a [Meeter] and a [DialectSpeaker]. [Dialer] makes
// one of URLs.
type DialFunc func(ctx context.Context) (io.ReadWriteCloser, error)

// Client is a store at the other end of a stream. Its methods may be called
// together.
//
// One mutex guards the client and its connections. Callers encode their call
// under it, straight into the output of the connection; what is written and
// read is handled outside of it, by two goroutines for each connection. A third
// one, run, makes the connections.
//
// A pending call is in one list at a time: in the queue, as long as it is not
// encoded for a connection, or in the list of calls sent on one. A connection
// that is lost puts its list before the queue, so calls are encoded in the order
// in which they were issued, however often. There may be two connections for a
// while: one that the server is about to close, from which answers are awaited,
// and its successor.
type Client struct {
	o    Options
	dial DialFunc

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // run and the goroutines of connections
	closed atomic.Bool    // set under mu
	calls  callPool

	firstID uint32 // of a connection; tests choose it

	mu            sync.Mutex // everything below, and in conns and calls what their comments say
	state         State
	stateChanged  chan struct{} // closed at the next change
	lastErr       error
	conn          *conn              // where new calls go; nil while there is none
	conns         map[*conn]struct{} // those that live
	queue         callList           // calls that are not encoded
	opening       []*Iterator        // iterators that wait to be opened
	pending       int                // calls, and iterators being made
	pendingBytes  int
	session       *session      // of which writes get their numbers
	lastLease     uint64        // number of an iterator's lease
	lastSnapshot  uint32        // number
	leftovers     []leftover    // that the server is to be told of
	detachedBytes int           // of pendingBytes, those of calls without callers
	flushed       chan struct{} // closed when pending comes to 0; nil if nobody waits
}

var (
	_ mld.Store   = (*Client)(nil)
	_ mld.Statser = (*Client)(nil)
)

// New returns a client. It does not wait for a connection, see
// [Client.WaitReady]. It panics if the options are not valid, see
// [Options.Validate].
func New(dial DialFunc, o *Options) *Client {
	c := newClient(dial, o)
	c.start()
	return c
}

func newClient(dial DialFunc, o *Options) *Client {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	c := &Client{
		o:            o.withDefaults(),
		dial:         dial,
		firstID:      1,
		stateChanged: make(chan struct{}),
		conns:        map[*conn]struct{}{},
		session:      newSession(),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (c *Client) start() { c.wg.Go(c.run) }

// Close fails all pending calls with [mld.ErrClosed]; a write that was sent
// also with [mld.ErrOutcomeUnknown], one that was not also with
// [mld.ErrNotSent]. It tells the server that the client's writes need not be
// remembered any more, for which it takes a second at the most, and waits until
// the connection is closed.
func (c *Client) Close() error {
	var end *call
	var lost <-chan struct{} // its connection
	c.mu.Lock()
	if !c.closed.Swap(true) {
		for _, list := range c.listsLocked() {
			for cl := list.head; cl != nil; cl = list.head {
				cl.left = cl.departed()
				if k := cl.conn; k != nil && cl.start >= k.taken {
					k.blankLocked(cl)
				}
				err := mld.ErrClosed
				if cl.isWrite() {
					err = cl.unanswered(mld.ErrClosed, "")
				}
				c.failLocked(cl, err)
			}
		}
		for _, it := range c.iteratorsLocked() {
			it.wakeLocked()
		}
		if end = c.endSessionLocked(); end != nil {
			lost = end.conn.lost
		}
	}
	c.mu.Unlock()
	if end != nil {
		c.awaitEnd(end, lost)
	}
	c.cancel()
	c.wg.Wait()
	return nil
}

// awaitEnd waits for the answer to the last call, or the loss of its connection.
func (c *Client) awaitEnd(end *call, lost <-chan struct{}) {
	timer := time.NewTimer(endWait)
	defer timer.Stop()
	select {
	case <-end.done:
	case <-lost:
	case <-timer.C:
	case <-c.ctx.Done():
	}
	c.mu.Lock()
	if end.list != nil {
		c.removeLocked(end)
	}
	c.mu.Unlock()
}

// listsLocked returns every list of pending calls.
func (c *Client) listsLocked() []*callList {
	lists := []*callList{&c.queue}
	for k := range c.conns {
		lists = append(lists, &k.sent, &k.bound)
	}
	return lists
}

// iteratorsLocked returns every iterator that may wait.
func (c *Client) iteratorsLocked() []*Iterator {
	its := slices.Clone(c.opening)
	for k := range c.conns {
		for _, it := range k.iterators {
			its = append(its, it)
		}
		its = append(its, k.dirty...)
	}
	return its
}

// failLocked ends a pending call with an error.
func (c *Client) failLocked(cl *call, err error) {
	c.removeLocked(cl)
	cl.err = err
	cl.done <- struct{}{} // never waits: done has room, and is used once
}

// run connects, and connects again, until the client is closed.
func (c *Client) run() {
	defer func() {
		c.closeConns()
		c.setState(Closed, nil)
	}()
	wait := backoff.Backoff{Min: c.o.BackoffMin, Max: c.o.BackoffMax}
	away := Connecting
	for {
		k, err := c.connect()
		if c.ctx.Err() != nil {
			return
		}
		if err != nil {
			c.o.Logger.Warn("cannot connect", "error", err)
			c.setState(away, err)
			c.mu.Lock()
			c.failQueueLocked(err)
			c.mu.Unlock()
		} else {
			c.o.Logger.Info("connected", "address", k.where)
			c.setState(Ready, nil)
			away = Reconnecting
			retired := false
			select {
			case <-k.lost:
			case <-k.retired:
				retired = true
			case <-c.ctx.Done():
			}
			if c.ctx.Err() != nil {
				return
			}
			c.setState(Reconnecting, k.reason())
			useful := k.useful.Load()
			if useful {
				wait.Reset()
			}
			if retired && useful {
				continue
			}
		}
		if wait.Wait(c.ctx) != nil {
			return
		}
	}
}

// closeConns closes the connections of a client that is closed.
func (c *Client) closeConns() {
	c.mu.Lock()
	conns := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	for _, k := range conns {
		k.shut(mld.ErrClosed)
		<-k.lost
	}
}

// connect makes one attempt at a connection and starts it.
func (c *Client) connect() (*conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.o.DialTimeout)
	defer cancel()
	stream, err := c.dial(ctx)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w (DialTimeout is %v): %w", ctx.Err(), c.o.DialTimeout, err)
		}
		return nil, err
	}
	k := newConn(c, stream)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		c.wg.Go(func() { stream.Close() })
		return nil, mld.ErrClosed
	}
	k.startLocked()
	return k, nil
}

// failQueueLocked fails what waits for a connection, if it is not to wait for the
// next one.
func (c *Client) failQueueLocked(cause error) {
	if c.retries(cause) {
		return
	}
	for cl := c.queue.head; cl != nil; cl = c.queue.head {
		c.failLocked(cl, c.fate(cl, cause))
	}
	for _, it := range c.opening {
		it.lostLocked(cause)
	}
	c.opening = nil
}
