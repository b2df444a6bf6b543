package server_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// BenchmarkServer measures the server with a client that sends frames made
// beforehand and passes over the answers: inflight calls are sent at once, then
// their answers awaited. An operation is one call, or one entry of a scan.
func BenchmarkServer(b *testing.B) {
	value := make([]byte, 100)
	store := memstore.New()
	for i := range 1000 {
		store.Put(b.Context(), fmt.Appendf(nil, "key%04d", i), value, nil)
	}
	store.Put(b.Context(), []byte("large"), make([]byte, 1<<20), nil)
	key := []byte("key0500")
	ops := []mld.Op{{Kind: mld.OpPut, Key: key, Value: value}, {Kind: mld.OpPut, Key: []byte("key0501"), Value: value}}
	calls := []struct {
		name    string
		frame   func(id uint32) []byte
		entries int
	}{
		{"get", func(id uint32) []byte { return wire.AppendGet(nil, id, key, 0) }, 1},
		{"get-1MiB", func(id uint32) []byte { return wire.AppendGet(nil, id, []byte("large"), 0) }, 1},
		{"put", func(id uint32) []byte { return wire.AppendPut(nil, id, key, value, 0) }, 1},
		{"batch", func(id uint32) []byte { return wire.AppendBatch(nil, id, ops, 0) }, 1},
		{"scan", func(id uint32) []byte {
			return wire.AppendIteratorClose(wire.AppendIterator(nil, wire.ManyLevel, &wire.IteratorOpen{
				ID: id, Keys: true, Values: true, Limit: 30, PageBytes: 64 << 10,
			}), wire.ManyLevel, id)
		}, 30},
	}
	for _, network := range []string{"mem", "tcp"} {
		for _, call := range calls {
			for _, inflight := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/%s/%d", network, call.name, inflight), func(b *testing.B) {
					var stored mld.Store = store
					if call.name == "put" || call.name == "batch" {
						stored = discard{store}
					}
					c, stop := benchDial(b, network, stored)
					defer stop()
					var frames []byte
					for i := range inflight {
						frames = append(frames, call.frame(uint32(i+1))...)
					}
					in := bufio.NewReaderSize(c, 64<<10)
					b.ReportAllocs()
					b.ResetTimer()
					for n := 0; n < b.N; n += inflight * call.entries {
						if _, err := c.Write(frames); err != nil {
							b.Fatal(err)
						}
						for range inflight {
							if err := skipAnswer(in); err != nil {
								b.Fatal(err)
							}
						}
					}
				})
			}
		}
	}
}

// discard is a store that takes writes and does nothing with them.
type discard struct{ *memstore.Store }

func (discard) Apply(_ context.Context, _ *mld.Batch, _ *mld.WriteOptions) error { return nil }

func benchDial(tb testing.TB, network string, store mld.Store) (c net.Conn, stop func()) {
	srv := server.New(store, nil)
	done := make(chan struct{})
	var l net.Listener
	var err error
	if network == "tcp" {
		l = listenTCP(tb)
	} else {
		l = memnet.Listen("bench")
	}
	go func() {
		srv.Serve(l)
		close(done)
	}()
	if network == "tcp" {
		c, err = net.Dial("tcp", l.Addr().String())
	} else {
		c, err = l.(*memnet.Listener).Dial(tb.Context())
	}
	if err != nil {
		tb.Fatal(err)
	}
	return c, func() {
		c.Close()
		srv.Close()
		<-done
	}
}

// skipAnswer passes over the messages up to the one that ends a call.
func skipAnswer(in *bufio.Reader) error {
	for {
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return err
		}
		tag, err := in.ReadByte()
		if err != nil {
			return err
		}
		if _, err := in.Discard(int(size) - 1); err != nil || tag != wire.TagIteratorData {
			return err
		}
	}
}

// BenchmarkSessions measures what it costs to have a put done once: an operation
// is one put, of which inflight are sent at once and then their answers awaited,
// with the acknowledgement of all before.
func BenchmarkSessions(b *testing.B) {
	value := make([]byte, 100)
	for _, exactly := range []bool{false, true} {
		for _, inflight := range []int{1, 64} {
			b.Run(fmt.Sprintf("numbered=%v/%d", exactly, inflight), func(b *testing.B) {
				store := memstore.New()
				p := dial(b, withSessions(b, store, server.Options{}))
				p.helloAs(1, false)
				in := bufio.NewReaderSize(p.rw, 64<<10)
				var frames []byte
				b.ReportAllocs()
				b.ResetTimer()
				for n := 0; n < b.N; n += inflight {
					frames = frames[:0]
					for i := range inflight {
						start := len(frames)
						frames = wire.AppendPut(frames, uint32(i+1), []byte("key0500"), value, 0)
						if exactly {
							frames = wire.NumberWrite(frames, start, uint64(n+i+1), uint64(n))
						}
					}
					p.send(frames)
					for range inflight {
						if err := skipAnswer(in); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// TestAllocations has a get and a put take no memory in the server, over a store
// that takes none.
func TestAllocations(t *testing.T) {
	store := memstore.New()
	store.Put(t.Context(), []byte("key"), make([]byte, 100), nil)
	c, stop := benchDial(t, "tcp", discard{store})
	defer stop()
	in := bufio.NewReader(c)
	for name, frame := range map[string][]byte{
		"get": wire.AppendGet(nil, 1, []byte("key"), 0),
		"put": wire.AppendPut(nil, 1, []byte("key"), make([]byte, 100), mld.DurabilityNoSync),
	} {
		call := func() {
			if _, err := c.Write(frame); err != nil {
				t.Fatal(err)
			}
			if err := skipAnswer(in); err != nil {
				t.Fatal(err)
			}
		}
		call()
		if n := testing.AllocsPerRun(200, call); n > 0 {
			t.Errorf("a %s allocates %v times", name, n)
		}
	}
}
