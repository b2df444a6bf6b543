package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// etcdPeer is a cluster of one member, through its own client. It replicates,
// keeps old revisions and syncs each write, so it does more than the others.
type etcdPeer struct {
	process  *process
	endpoint string
}

func (p *etcdPeer) name() string { return "etcd" }

func (p *etcdPeer) start(ctx context.Context, b *bench) error {
	bin, err := exec.LookPath("etcd")
	if err != nil {
		return errNotInstalled
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	peerPort, err := freePort()
	if err != nil {
		return err
	}
	dir, err := makeDir(b.dir, "etcd")
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p.endpoint = "http://" + address
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peerPort)
	p.process, err = startQuiet(filepath.Join(dir, "log"), bin, "--name", "bench", "--data-dir", filepath.Join(dir, "data"),
		"--listen-client-urls", p.endpoint, "--advertise-client-urls", p.endpoint,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "bench="+peerURL,
		"--quota-backend-bytes", fmt.Sprint(8<<30))
	if err != nil {
		return err
	}
	c, err := waitDial(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	c.Close()
	return p.fill(ctx, b.data)
}

// fill puts the entries in many batches at a time, which share syncs.
func (p *etcdPeer) fill(ctx context.Context, d *data) error {
	h, err := p.open(ctx, &workload{})
	if err != nil {
		return err
	}
	defer h.Close()
	var group errgroup.Group
	group.SetLimit(64)
	var entries []entry
	put := func() {
		batch := entries
		entries = nil
		group.Go(func() error { return h.batch(ctx, batch) })
	}
	if err := d.each(func(key, value []byte) error {
		entries = append(entries, entry{append([]byte(nil), key...), append([]byte(nil), value...)})
		if len(entries) == batchLen {
			put()
		}
		return nil
	}); err != nil {
		return err
	}
	put()
	return group.Wait()
}

// It has no writes that are not synced; and in reverse it would sort all entries
// for each page.
func (p *etcdPeer) lacks(w *workload) bool {
	return w.conns > 1 || w.reverse || (w.writes() && !w.sync)
}
func (p *etcdPeer) memory() int64 { return p.process.memory() }
func (p *etcdPeer) close() error  { return p.process.stop() }

func (p *etcdPeer) open(_ context.Context, w *workload) (handle, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{p.endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return &etcdHandle{c, w}, nil
}

type etcdHandle struct {
	c *clientv3.Client
	w *workload
}

func (h *etcdHandle) get(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	r, err := h.c.Get(ctx, string(key))
	if err != nil {
		return nil, nil, err
	}
	if len(r.Kvs) != 1 {
		return nil, nil, fmt.Errorf("etcd has %d values of %s", len(r.Kvs), key)
	}
	return r.Kvs[0].Value, nil, nil
}

func (h *etcdHandle) put(ctx context.Context, key, value []byte) error {
	_, err := h.c.Put(ctx, string(key), string(value))
	return err
}

func (h *etcdHandle) batch(ctx context.Context, entries []entry) error {
	var ops []clientv3.Op
	seen := make(map[string]bool, len(entries)) // a transaction may put a key once only
	for _, e := range entries {
		if key := string(e.key); !seen[key] {
			seen[key] = true
			ops = append(ops, clientv3.OpPut(key, string(e.value)))
		}
	}
	_, err := h.c.Txn(ctx).Then(ops...).Commit()
	return err
}

func (h *etcdHandle) scan(ctx context.Context, visit func(key, value []byte) bool) error {
	from := "\x00"
	// Large pages, for it counts all that follow, each time.
	options := []clientv3.OpOption{clientv3.WithFromKey(), clientv3.WithLimit(10_000)}
	if h.w.keysOnly {
		options = append(options, clientv3.WithKeysOnly())
	}
	for {
		r, err := h.c.Get(ctx, from, options...)
		if err != nil {
			return err
		}
		for _, kv := range r.Kvs {
			if !visit(kv.Key, kv.Value) {
				return nil
			}
		}
		if !r.More {
			return nil
		}
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
}

func (h *etcdHandle) Close() error { return h.c.Close() }
