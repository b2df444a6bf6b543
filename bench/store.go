package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/pebblestore"
)

// errLacks is returned by a peer that cannot do a workload.
var errLacks = errors.New("not offered")

// handles are a peer that is one or more stores in this process: the engine
// itself, or clients of a server.
type handles struct {
	label  string
	stores []mld.Store
	dial   func() (mld.Store, error) // nil where the store can only be opened once
	stop   func() error
}

// startInProcess opens an engine.
func startInProcess(engine, dir string) (peer, error) {
	dir = filepath.Join(dir, engine+"-in-process")
	var s mld.Store
	var err error
	if engine == "pebble" {
		s, err = pebblestore.Open(dir, nil)
	} else {
		s, err = leveldbstore.Open(dir, nil)
	}
	if err != nil {
		return nil, err
	}
	return &handles{label: engine + " in process", stores: []mld.Store{s}}, nil
}

// startServer starts the command in a process of its own, for clients with
// options o.
func startServer(label, engine, dir string, o *client.Options) (peer, error) {
	bin := filepath.Join(dir, "mld")
	if _, err := os.Stat(bin); err != nil {
		if out, err := exec.Command("go", "build", "-o", bin, "./cmd/mld").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the command: %w\n%s", err, out)
		}
	}
	cmd := exec.Command(bin, "serve", filepath.Join(dir, label), "--store", engine, "--listen", "tcp://127.0.0.1:0")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the server did not say where it listens: %w", err)
	}
	url := line[strings.Index(line, "tcp://"):]
	dial, err := client.Dialer(strings.Fields(url)[0])
	if err != nil {
		return nil, err
	}
	return &handles{
		label: label,
		dial:  func() (mld.Store, error) { return client.New(dial, o), nil },
		stop: func() error {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				return err
			}
			return cmd.Wait()
		},
	}, nil
}

func (h *handles) name() string { return h.label }

func (h *handles) close() error {
	var err error
	for _, s := range h.stores {
		err = errors.Join(err, s.Close())
	}
	if h.stop != nil {
		err = errors.Join(err, h.stop())
	}
	return err
}

func (h *handles) run(ctx context.Context, w workload, s settings) (float64, error) {
	if h.dial == nil && w.conns > 1 {
		return 0, errLacks
	}
	for len(h.stores) < w.conns {
		store, err := h.dial()
		if err != nil {
			return 0, err
		}
		h.stores = append(h.stores, store)
	}
	if w.op == "fill" {
		return 0, fill(ctx, h.stores[0], s)
	}
	var ops atomic.Int64
	var group errgroup.Group
	begin := time.Now()
	until := begin.Add(s.time)
	for i := range w.inFlight {
		store := h.stores[i%w.conns]
		group.Go(func() error {
			n, err := work(ctx, store, w, s, until)
			ops.Add(int64(n))
			return err
		})
	}
	err := group.Wait()
	return float64(ops.Load()) / time.Since(begin).Seconds(), err
}

func key(i int) []byte { return fmt.Appendf(nil, "%016d", i) }

func value(key []byte, size int) []byte {
	return bytes.Repeat(key, size/len(key)+1)[:size]
}

func fill(ctx context.Context, store mld.Store, s settings) error {
	const ops = 1000
	for i := 0; i < s.keys; i += ops {
		var b mld.Batch
		for j := i; j < min(i+ops, s.keys); j++ {
			b.Put(key(j), value(key(j), s.valueSize))
		}
		if err := store.Apply(ctx, &b, mld.NoSync); err != nil {
			return err
		}
	}
	return nil
}

// work does one operation after the other until the time has come, and returns
// how many.
func work(ctx context.Context, store mld.Store, w workload, s settings, until time.Time) (int, error) {
	o := mld.NoSync
	if w.sync {
		o = mld.Sync
	}
	n := 0
	for time.Now().Before(until) {
		k := key(rand.IntN(s.keys))
		switch w.op {
		case "get":
			v, err := store.Get(ctx, k)
			if err != nil {
				return n, err
			}
			if !bytes.Equal(v, value(k, s.valueSize)) {
				return n, fmt.Errorf("the value of %s is wrong", k)
			}
			n++
		case "put":
			if err := store.Put(ctx, k, value(k, s.valueSize), o); err != nil {
				return n, err
			}
			n++
		case "batch":
			var b mld.Batch
			for range 100 {
				k := key(rand.IntN(s.keys))
				b.Put(k, value(k, s.valueSize))
			}
			if err := store.Apply(ctx, &b, o); err != nil {
				return n, err
			}
			n += b.Len()
		case "scan":
			entries := 0
			for e, err := range mld.All(ctx, store, nil) {
				if err != nil {
					return n, err
				}
				if len(e.Value) != s.valueSize {
					return n, fmt.Errorf("the value of %s is wrong", e.Key)
				}
				entries++
			}
			if entries != s.keys {
				return n, fmt.Errorf("a scan returned %d entries of %d", entries, s.keys)
			}
			n += entries
		}
	}
	return n, nil
}
