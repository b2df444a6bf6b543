package client_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
)

// benchHosts runs a benchmark against a server over a store in memory with the
// given number of entries of 100 bytes, over each network.
func benchHosts(b *testing.B, entries int, bench func(b *testing.B, c *client.Client)) {
	for _, tcp := range []bool{false, true} {
		name := "memory"
		if tcp {
			name = "tcp"
		}
		b.Run(name, func(b *testing.B) {
			h := newHost(b, nil, tcp)
			for i := range entries {
				if err := h.store.Put(b.Context(), benchKey(i), make([]byte, 100), nil); err != nil {
					b.Fatal(err)
				}
			}
			benchHost(b, h, bench)
		})
	}
}

// benchHost runs a benchmark against a host.
func benchHost(b *testing.B, h *host, bench func(b *testing.B, c *client.Client)) {
	c := h.connect(b, nil)
	if err := c.WaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	bench(b, c)
}

func benchKey(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

// spread runs f b.N times in a number of goroutines.
func spread(b *testing.B, goroutines int, f func(i int) error) {
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < b.N; i += goroutines {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkGet(b *testing.B) {
	const entries = 10000
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			benchHosts(b, entries, func(b *testing.B, c *client.Client) {
				keys := make([][]byte, entries)
				for i := range keys {
					keys[i] = benchKey(i)
				}
				spread(b, goroutines, func(i int) error {
					_, err := c.Get(context.Background(), keys[i%entries])
					return err
				})
			})
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			puts := func(b *testing.B, c *client.Client) {
				value := make([]byte, 100)
				spread(b, goroutines, func(i int) error {
					return c.Put(context.Background(), benchKey(i%10000), value, nil)
				})
			}
			benchHosts(b, 0, puts)
			b.Run("tcp with sessions", func(b *testing.B) { benchHost(b, newHostWithSessions(b, true), puts) })
		})
	}
}

// BenchmarkScan walks all of 100,000 entries; an operation is one entry.
func BenchmarkScan(b *testing.B) {
	const entries = 100000
	benchHosts(b, entries, func(b *testing.B, c *client.Client) {
		for done := 0; done < b.N; {
			it, err := c.NewIterator(context.Background(), &mld.IterOptions{Range: mld.Range{Limit: b.N - done}})
			if err != nil {
				b.Fatal(err)
			}
			for it.Next() {
				done++
			}
			if err := it.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEcho is what a round trip over TCP costs without any of this, in
// messages as large as those of BenchmarkGet.
func BenchmarkEcho(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	const request, response = 14, 110
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		p := make([]byte, response)
		for {
			if _, err := io.ReadFull(c, p[:request]); err != nil {
				return
			}
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p := make([]byte, response)
	for b.Loop() {
		if _, err := c.Write(p[:request]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, p); err != nil {
			b.Fatal(err)
		}
	}
}
