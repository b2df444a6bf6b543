package server_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/hotcache"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// gated is a store in which a batch of many operations waits at a gate.
type gated struct {
	*memstore.Store
	many    int
	entered chan struct{} // closed when it waits
	gate    chan struct{} // closed to let it pass
}

func (s *gated) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	if b.Len() >= s.many {
		close(s.entered)
		<-s.gate
	}
	return s.Store.Apply(ctx, b, o)
}

// TestBesideLargeBatch has the writes and reads of other connections done while a
// large batch is on its way into the store, whether writes are numbered or not.
func TestBesideLargeBatch(t *testing.T) {
	const many = 100_000
	for name, numbers := range map[string]bool{"numbered": true, "without numbers": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &gated{memstore.New(), many, make(chan struct{}), make(chan struct{})}
				srv := withSessions(t, hotcache.New(store, nil), server.Options{})
				seq := make(map[*peer]uint64)
				number := func(p *peer, message []byte) []byte {
					if !numbers {
						return message
					}
					seq[p]++
					return numbered(nil, message, seq[p], seq[p]-1)
				}
				loader := dial(t, srv)
				loader.helloAs(1, false)
				var b mld.Batch
				for i := range many {
					b.Put(fmt.Appendf(nil, "large %06d", i), []byte("v"))
				}
				message := number(loader, wire.AppendBatch(nil, 1, b.Ops(), 0))
				go loader.rw.Write(message) // which waits, for the pipe holds less
				<-store.entered

				small := []*peer{dial(t, srv), dial(t, srv)}
				for i, p := range small {
					p.helloAs(byte(2+i), false)
				}
				for id := uint32(1); id <= 30; id += 3 {
					for i, p := range small {
						durability := mld.Durability(int(id) % 3)
						key, value := fmt.Appendf(nil, "small %d", i), fmt.Appendf(nil, "%d", id)
						p.send(number(p, wire.AppendPut(nil, id, key, value, durability)))
						p.expect(id, nil)
						p.send(wire.AppendGet(nil, id+1, key, 0))
						if r := p.expect(id+1, nil); string(r.Value) != string(value) {
							t.Fatalf("connection %d has %q, want %q", i, r.Value, value)
						}
						p.send(wire.AppendGet(nil, id+2, []byte("large 000000"), 0))
						p.expect(id+2, mld.ErrNotFound)
					}
				}
				keys, _, err := small[0].scan(wire.IteratorOpen{ID: 99, Limit: -1}, 0)
				if err != nil || len(keys) != len(small) {
					t.Errorf("a scan has %q (%v)", keys, err)
				}
				close(store.gate)
				loader.expect(1, nil)
				small[0].send(wire.AppendGet(nil, 50, fmt.Appendf(nil, "large %06d", many-1), 0))
				if r := small[0].expect(50, nil); string(r.Value) != "v" {
					t.Errorf("after the batch: %q", r.Value)
				}
			})
		})
	}
}

// repeated is a store whose iterators have n entries with one and the same value.
type repeated struct {
	*memstore.Store
	n     int
	value []byte
}

func (s *repeated) NewIterator(context.Context, *mld.IterOptions) (mld.Iterator, error) {
	return &repeatedIterator{repeated: s, at: -1}, nil
}

type repeatedIterator struct {
	*repeated
	at int
}

func (it *repeatedIterator) Next() bool    { it.at++; return it.at < it.n }
func (it *repeatedIterator) Seek([]byte)   { panic("nobody seeks") }
func (it *repeatedIterator) Key() []byte   { return fmt.Appendf(nil, "%06d", it.at) }
func (it *repeatedIterator) Value() []byte { return it.value }
func (it *repeatedIterator) Err() error    { return nil }
func (it *repeatedIterator) Close() error  { return nil }

// slowReader is a client's end whose reads wait until the server has done all
// that it can do without them. Then it looks at what that holds.
type slowReader struct {
	*memnet.Conn
	look func()
}

func (r *slowReader) Read(p []byte) (int, error) {
	synctest.Wait()
	r.look()
	return r.Conn.Read(p)
}

// TestScanOfLargeValues has clients scan values of 1 MiB that read slowly, and
// the server hold one of them at a time, whatever kind of client it is and
// however much that allows.
func TestScanOfLargeValues(t *testing.T) {
	const (
		values = 40
		size   = 1 << 20
		// A page ends with the value that takes it above its size, and its
		// buffer has a quarter to spare.
		most = size + size/2
		// That, the buffer that the client of this test has, and the pipe's.
		mostHeap = most + 2*size + size
	)
	for name, c := range map[string]struct {
		dialect wire.Dialect
		open    wire.IteratorOpen
		grant   int // entries between two grants, of as many
	}{
		"many-level's client":     {wire.ManyLevel, wire.IteratorOpen{}, 1},
		"this project's client":   {wire.ManyLevel, wire.IteratorOpen{PageBytes: 1 << 30}, 1},
		"multileveldown's client": {wire.Multileveldown, wire.IteratorOpen{Credit: 32}, 16},
		"one that allows all":     {wire.Multileveldown, wire.IteratorOpen{Credit: 1 << 30}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := server.New(&repeated{memstore.New(), values, make([]byte, size)}, nil)
				held := func() int64 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					return int64(m.HeapAlloc)
				}
				before := held()
				peak, peakHeap, reads := 0.0, int64(0), 0
				p := newPeer(t, &slowReader{connect(t, srv), func() {
					if reads++; reads%5 == 0 { // a value takes 16
						peak = max(peak, inFlight(t, srv))
					}
					if reads%100 == 0 {
						peakHeap = max(peakHeap, held()-before)
					}
				}}, c.dialect)
				c.open.Keys, c.open.Values, c.open.Limit = true, true, -1
				p.send(wire.AppendIterator(nil, c.dialect, &c.open))
				got := 0
				for {
					r := p.receive()
					if r.End {
						if r.Err != nil {
							t.Fatal(r.Err)
						}
						break
					}
					for rest := r.Data; len(rest) > 0; got++ {
						var key, value []byte
						key, rest, _ = wire.NextDatum(rest)
						value, rest, _ = wire.NextDatum(rest)
						if string(key) != fmt.Sprintf("%06d", got) || len(value) != size {
							t.Fatalf("entry %d has the key %q and %d bytes", got, key, len(value))
						}
					}
					switch {
					case c.dialect == wire.ManyLevel:
						p.send(wire.AppendIteratorAck(nil, 0, 0, uint64(got)))
					case c.grant > 0 && got%c.grant == 0:
						p.send(wire.AppendIteratorCredit(nil, 0, c.open.Credit))
					}
				}
				if got != values {
					t.Errorf("%d entries, want %d", got, values)
				}
				if peak < size/2 || peak > most {
					t.Errorf("%.0f KiB in flight, want no more than %d", peak/1024, most>>10)
				}
				if peakHeap > mostHeap {
					t.Errorf("%d KiB held, want no more than %d", peakHeap>>10, mostHeap>>10)
				}
			})
		})
	}
}
