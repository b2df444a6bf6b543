package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/rpc"

	"github.com/cockroachdb/pebble/v2"
)

// rpcPeer is Pebble behind net/rpc of the standard library, in a process of its
// own.
type rpcPeer struct {
	process *process
	address string
}

func (p *rpcPeer) name() string { return "net/rpc over Pebble" }

func (p *rpcPeer) start(_ context.Context, b *bench) (err error) {
	dir, err := b.data.pebbleDir("rpc")
	if err != nil {
		return err
	}
	p.process, p.address, err = b.serveSelf("rpc", "tcp", dir, fmt.Sprint(b.cache))
	return err
}

// It has no streams, and its server cannot keep an iterator open between calls.
func (p *rpcPeer) lacks(w *workload) bool { return w.conns > 1 || w.reverse || w.keysOnly }
func (p *rpcPeer) memory() int64          { return p.process.memory() }
func (*rpcPeer) warms() bool              { return true }

func (p *rpcPeer) close() error { return p.process.stop() }

func (p *rpcPeer) open(ctx context.Context, w *workload) (handle, error) {
	c, err := dialUntil(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	return &rpcHandle{rpc.NewClient(c), w}, nil
}

type rpcHandle struct {
	c *rpc.Client
	w *workload
}

func (h *rpcHandle) get(_ context.Context, key []byte) (value []byte, _ io.Closer, err error) {
	err = h.c.Call("Store.Get", key, &value)
	return value, nil, err
}

func (h *rpcHandle) put(ctx context.Context, key, value []byte) error {
	return h.batch(ctx, []entry{{key, value}})
}

func (h *rpcHandle) batch(_ context.Context, entries []entry) error {
	args := WriteArgs{Sync: h.w.sync}
	for _, e := range entries {
		args.Entries = append(args.Entries, e.key, e.value)
	}
	return h.c.Call("Store.Write", &args, new(bool))
}

func (h *rpcHandle) scan(_ context.Context, visit func(key, value []byte) bool) error {
	var from []byte
	for {
		var page []byte
		if err := h.c.Call("Store.Scan", from, &page); err != nil || len(page) == 0 {
			return err
		}
		for rest := page; len(rest) > 0; {
			var key, value []byte
			var ok, ok2 bool
			key, rest, ok = cutPart(rest)
			value, rest, ok2 = cutPart(rest)
			if !ok || !ok2 {
				return errMessage
			}
			if !visit(key, value) {
				return nil
			}
			from = append(append(from[:0], key...), 0)
		}
	}
}

func (h *rpcHandle) Close() error { return h.c.Close() }

// WriteArgs are entries to put: keys and values in turn. Its name is exported, as
// net/rpc asks.
type WriteArgs struct {
	Entries [][]byte
	Sync    bool
}

// rpcStore is the service.
type rpcStore struct{ db *pebble.DB }

func (s *rpcStore) Get(key []byte, value *[]byte) (err error) {
	*value, err = copyOfValue(s.db, key)
	return err
}

func (s *rpcStore) Write(args *WriteArgs, _ *bool) error {
	b := s.db.NewBatch()
	defer b.Close()
	for e := args.Entries; len(e) > 1; e = e[2:] {
		if err := b.Set(e[0], e[1], nil); err != nil {
			return err
		}
	}
	return b.Commit(pebbleWrite(args.Sync))
}

// Scan returns a page of the entries whose keys are at least from.
func (s *rpcStore) Scan(from []byte, page *[]byte) error {
	return scanPebble(s.db, from, false, false, func(key, value []byte) bool {
		*page = appendPart(appendPart(*page, key), value)
		return len(*page) < scanPage
	})
}

// serveRPC is the server, in its own process.
func serveRPC(l net.Listener, db *pebble.DB) error {
	s := rpc.NewServer()
	if err := s.RegisterName("Store", &rpcStore{db}); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go s.ServeConn(c)
	}
}
