//go:build linux

package robustness

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
)

// What a server may take for a connection whose iterators nobody reads, and in
// all beside that: README.md has what was measured.
const (
	soakIterators         = 50
	soakBytesOfConnection = 750 << 10
	soakBytesInAll        = 160 << 20
)

// TestSoak opens iterators on many connections and reads none of them, and looks
// at what the server takes, and at how a client fares that does as it should.
func TestSoak(t *testing.T) {
	connections := pick(200, 2_000)
	// The race detector multiplies the memory of a process.
	p := startProcess(t, build(t, "", false), "--store", "pebble", "--max-total-iterators", "none", t.TempDir())
	healthy := client.New(tcp(p.address), nil)
	defer healthy.Close()
	for i := range 100 { // more than a memtable has
		var b mld.Batch
		for j := range 1000 {
			b.Put(name("k", i, j), make([]byte, 100))
		}
		if err := healthy.Apply(t.Context(), &b, nil); err != nil {
			t.Fatal(err)
		}
	}
	quiet := latency(t, healthy)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var opening sync.WaitGroup
	clients := make([]*client.Client, connections)
	room := make(chan struct{}, 50)
	for i := range clients {
		opening.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			clients[i] = client.New(tcp(p.address), nil)
			for range soakIterators {
				if _, err := clients[i].NewIterator(ctx, nil); err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	opening.Wait()
	loaded := latency(t, healthy)
	memory := peakMemory(t, p.cmd.Process.Pid)
	most := soakBytesInAll + connections*soakBytesOfConnection
	if memory > most {
		t.Errorf("the server took %d MiB, more than %d", memory>>20, most>>20)
	}
	t.Logf("%d connections with %d iterators each: the server took %d MiB of the %d that it may, and a healthy client's p99 went from %v to %v",
		connections, soakIterators, memory>>20, most>>20, quiet, loaded)

	var closing sync.WaitGroup
	for _, c := range clients {
		closing.Go(func() { c.Close() })
	}
	closing.Wait()
	if _, err := mld.Collect(t.Context(), healthy, nil); err != nil {
		t.Error(err)
	}
}

// latency returns the 99th percentile of what a put and a get take.
func latency(t *testing.T, c *client.Client) time.Duration {
	t.Helper()
	took := make([]time.Duration, 400)
	for i := range took {
		start := time.Now()
		if err := c.Put(t.Context(), []byte("healthy"), nil, mld.NoSync); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), []byte("healthy")); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[len(took)*99/100].Round(time.Microsecond)
}

// peakMemory returns the most memory that a process has had, in bytes.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			var kib int
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("the system does not tell")
	return 0
}
