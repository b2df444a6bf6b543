package hotcache_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/hotcache"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) mld.Store { return hotcache.New(memstore.New(), nil) }, nil)
}

// probed is a store that counts its gets, and stops in the calls that have a gate.
type probed struct {
	mld.Store
	gets     atomic.Int64
	inGet    *gate // after the value was read
	toWrite  *gate // before the write is done
	inWrite  *gate // after the write was done
	writeErr error // what a write that was done returns
	refusal  error // why a write is not done
}

// gate stops who comes until it is opened.
type gate struct{ reached, open chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

func (g *gate) pass() {
	if g != nil {
		close(g.reached)
		<-g.open
	}
}

func (p *probed) Get(ctx context.Context, key []byte) ([]byte, error) {
	p.gets.Add(1)
	value, err := p.Store.Get(ctx, key)
	p.inGet.pass()
	return value, err
}

func (p *probed) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if p.toWrite.pass(); p.refusal != nil {
		return p.refusal
	}
	return p.wrote(p.Store.Put(ctx, key, value, o))
}

func (p *probed) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	if p.toWrite.pass(); p.refusal != nil {
		return p.refusal
	}
	return p.wrote(p.Store.Delete(ctx, key, o))
}

func (p *probed) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	if p.toWrite.pass(); p.refusal != nil {
		return p.refusal
	}
	return p.wrote(p.Store.Apply(ctx, b, o))
}

func (p *probed) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	if p.toWrite.pass(); p.refusal != nil {
		return p.refusal
	}
	return p.wrote(p.Store.Clear(ctx, r, o))
}

func (p *probed) wrote(err error) error {
	p.inWrite.pass()
	return errors.Join(err, p.writeErr)
}

func open(t *testing.T, o *hotcache.Options) (*hotcache.Store, *probed) {
	behind := &probed{Store: memstore.New()}
	s := hotcache.New(behind, o)
	t.Cleanup(func() { s.Close() })
	return s, behind
}

// get returns a value as text, "-" if there is none.
func get(t *testing.T, s mld.Store, key string) string {
	t.Helper()
	value, err := s.Get(t.Context(), []byte(key))
	if errors.Is(err, mld.ErrNotFound) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func put(t *testing.T, s mld.Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), []byte(key), []byte(value), nil); err != nil {
		t.Fatal(err)
	}
}

func TestHit(t *testing.T) {
	s, behind := open(t, nil)
	put(t, s, "k", "v")
	for range 3 {
		if got := get(t, s, "k"); got != "v" {
			t.Fatalf("got %q", got)
		}
	}
	if n := behind.gets.Load(); n != 1 {
		t.Errorf("the store was asked %d times for a value that did not change", n)
	}
}

// writes are ways to change k from old, with what it is then.
var writes = []struct {
	name string
	do   func(s mld.Store) error
	want string
}{
	{"put", func(s mld.Store) error {
		return s.Put(context.Background(), []byte("k"), []byte("new"), nil)
	}, "new"},
	{"delete", func(s mld.Store) error {
		return s.Delete(context.Background(), []byte("k"), nil)
	}, "-"},
	{"batch", func(s mld.Store) error {
		var b mld.Batch
		b.Delete([]byte("k"))
		b.Put([]byte("k"), []byte("new"))
		return s.Apply(context.Background(), &b, nil)
	}, "new"},
	{"put in a batch", func(s mld.Store) error {
		var b mld.Batch
		b.Put([]byte("k"), []byte("new"))
		return s.Apply(context.Background(), &b, nil)
	}, "new"},
	{"put and range in a batch", func(s mld.Store) error {
		var b mld.Batch
		b.Put([]byte("k"), []byte("new"))
		b.DeleteRange([]byte("a"), []byte("z"))
		return s.Apply(context.Background(), &b, nil)
	}, "-"},
	{"range in a batch", func(s mld.Store) error {
		var b mld.Batch
		b.DeleteRange([]byte("a"), []byte("z"))
		return s.Apply(context.Background(), &b, nil)
	}, "-"},
	{"clear", func(s mld.Store) error {
		return s.Clear(context.Background(), mld.Range{}, nil)
	}, "-"},
}

// TestWrite has each kind of write change a value that is in the cache.
func TestWrite(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			s, _ := open(t, nil)
			put(t, s, "k", "old")
			get(t, s, "k")
			if err := w.do(s); err != nil {
				t.Fatal(err)
			}
			if got := get(t, s, "k"); got != w.want {
				t.Errorf("got %q, want %q", got, w.want)
			}
		})
	}
}

// TestFailedWrite has a write happen although it returns an error.
func TestFailedWrite(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			s, behind := open(t, nil)
			put(t, s, "k", "old")
			get(t, s, "k")
			behind.writeErr = errors.New("failed")
			if err := w.do(s); err == nil {
				t.Fatal("no error")
			}
			if got := get(t, s, "k"); got != w.want {
				t.Errorf("got %q, want %q", got, w.want)
			}
		})
	}
}

// TestRefusedWrite has a write not happen.
func TestRefusedWrite(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			s, behind := open(t, nil)
			put(t, s, "k", "old")
			get(t, s, "k")
			behind.refusal = errors.New("refused")
			if err := w.do(s); err == nil {
				t.Fatal("no error")
			}
			if got := get(t, s, "k"); got != "old" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestHitAfterWrite has values that were read be written: a write puts the new one
// into the cache.
func TestHitAfterWrite(t *testing.T) {
	s, behind := open(t, nil)
	var b mld.Batch
	for i := range 20 {
		put(t, s, fmt.Sprint(i), "old")
		get(t, s, fmt.Sprint(i))
		b.Put(fmt.Append(nil, i), []byte("new"))
	}
	if err := s.Apply(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	put(t, s, "7", "newer")
	behind.gets.Store(0)
	for i := range 20 {
		want := "new"
		if i == 7 {
			want = "newer"
		}
		if got := get(t, s, fmt.Sprint(i)); got != want {
			t.Errorf("key %d is %q, want %q", i, got, want)
		}
	}
	if n := behind.gets.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestWriteDuringWrite has each kind of write happen and end while a put, which has
// happened before it, comes to its end after it.
func TestWriteDuringWrite(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			s, behind := open(t, nil)
			put(t, s, "k", "older")
			get(t, s, "k")
			inWrite := newGate()
			behind.inWrite = inWrite
			done := make(chan error)
			go func() { done <- s.Put(t.Context(), []byte("k"), []byte("old"), nil) }()
			<-inWrite.reached
			behind.inWrite = nil
			if err := w.do(s); err != nil {
				t.Fatal(err)
			}
			close(inWrite.open)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := get(t, s, "k"); got != w.want {
				t.Errorf("got %q, want %q", got, w.want)
			}
		})
	}
}

// TestLateWriteDuringWrite has each kind of write begin first and happen last, while
// a put that began after it happens before it and ends after it.
func TestLateWriteDuringWrite(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			s, behind := open(t, nil)
			put(t, s, "k", "older")
			get(t, s, "k")
			toWrite, inWrite := newGate(), newGate()
			behind.toWrite = toWrite
			first, second := make(chan error), make(chan error)
			go func() { first <- w.do(s) }()
			<-toWrite.reached
			behind.toWrite, behind.inWrite = nil, inWrite
			go func() { second <- s.Put(t.Context(), []byte("k"), []byte("old"), nil) }()
			<-inWrite.reached
			behind.inWrite = nil
			close(toWrite.open)
			if err := <-first; err != nil {
				t.Fatal(err)
			}
			close(inWrite.open)
			if err := <-second; err != nil {
				t.Fatal(err)
			}
			if got := get(t, s, "k"); got != w.want {
				t.Errorf("got %q, want %q", got, w.want)
			}
		})
	}
}

// TestWriteDuringGet has each kind of write begin and end after a get has read
// the old value and before it puts that into the cache.
func TestWriteDuringGet(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			s, behind := open(t, nil)
			put(t, s, "k", "old")
			inGet := newGate()
			behind.inGet = inGet
			done := make(chan string)
			go func() { done <- get(t, s, "k") }()
			<-inGet.reached
			if err := w.do(s); err != nil {
				t.Fatal(err)
			}
			close(inGet.open)
			if got := <-done; got != "old" {
				t.Fatalf("the get that was under way got %q", got)
			}
			behind.inGet = nil
			if got := get(t, s, "k"); got != w.want {
				t.Errorf("got %q, want %q", got, w.want)
			}
		})
	}
}

// TestGetDuringWrite has gets come while a write is under way that has happened
// already. They must not see the old value after one of them saw the new one.
func TestGetDuringWrite(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			s, behind := open(t, nil)
			put(t, s, "k", "old")
			get(t, s, "k")
			inWrite := newGate()
			behind.inWrite = inWrite
			done := make(chan error)
			go func() { done <- w.do(s) }()
			<-inWrite.reached
			for range 2 {
				if got := get(t, s, "k"); got != w.want {
					t.Errorf("during the write got %q, want %q", got, w.want)
				}
			}
			close(inWrite.open)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := get(t, s, "k"); got != w.want {
				t.Errorf("got %q, want %q", got, w.want)
			}
		})
	}
}

// TestLateGetDuringWrite has a get read the old value when a write has begun but
// not happened yet, and come to its end when it has, before it ends.
func TestLateGetDuringWrite(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			s, behind := open(t, nil)
			put(t, s, "k", "old")
			toWrite, inWrite, inGet := newGate(), newGate(), newGate()
			behind.toWrite, behind.inWrite, behind.inGet = toWrite, inWrite, inGet
			written, got := make(chan error), make(chan string)
			go func() { written <- w.do(s) }()
			<-toWrite.reached
			go func() { got <- get(t, s, "k") }()
			<-inGet.reached
			behind.inGet = nil
			close(toWrite.open)
			<-inWrite.reached
			if got := get(t, s, "k"); got != w.want {
				t.Errorf("during the write got %q, want %q", got, w.want)
			}
			close(inGet.open)
			if got := <-got; got != "old" {
				t.Fatalf("the get that came first got %q", got)
			}
			if got := get(t, s, "k"); got != w.want {
				t.Errorf("after another get had seen %[2]q got %[1]q", got, w.want)
			}
			close(inWrite.open)
			if err := <-written; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestNoOlderValue has readers of few keys look for values that are older than
// one that was acknowledged before they asked.
func TestNoOlderValue(t *testing.T) {
	const keys, writers, readers, rounds = 4, 2, 4, 5000
	s, _ := open(t, nil)
	ctx := t.Context()
	var locks [keys]sync.Mutex
	var acknowledged [keys]atomic.Uint64
	for k := range keys {
		put(t, s, fmt.Sprint(k), string(make([]byte, 8)))
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			for range rounds {
				k := r.IntN(keys)
				locks[k].Lock()
				n := acknowledged[k].Load() + 1
				var b mld.Batch
				if r.IntN(8) == 0 {
					b.DeleteRange(fmt.Append(nil, k), fmt.Append(nil, k+1))
				}
				b.Put(fmt.Append(nil, k), binary.BigEndian.AppendUint64(nil, n))
				if err := s.Apply(ctx, &b, nil); err != nil {
					t.Error(err)
				}
				acknowledged[k].Store(n)
				locks[k].Unlock()
			}
		})
	}
	for g := range readers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range rounds {
				k := r.IntN(keys)
				least := acknowledged[k].Load()
				var value []byte
				key := fmt.Append(nil, k)
				err := s.GetTogether(ctx, [][]byte{key, key}, func(_ int, v []byte, err error) error {
					value = append(value[:0], v...)
					return err
				})
				if r.IntN(2) == 0 {
					value, err = s.Get(ctx, key)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if got := binary.BigEndian.Uint64(value); got < least {
					t.Errorf("key %d: got value %d after %d was acknowledged", k, got, least)
				}
			}
		})
	}
	wg.Wait()
}

func TestLargeValues(t *testing.T) {
	s, behind := open(t, &hotcache.Options{MaxValue: 100})
	for i, size := range []int{100, 101, 64 << 10, 1 << 20} {
		key := []byte{byte(i)}
		value := bytes.Repeat([]byte{byte(size)}, size)
		if err := s.Put(t.Context(), key, value, nil); err != nil {
			t.Fatal(err)
		}
		behind.gets.Store(0)
		for range 2 {
			if got, err := s.Get(t.Context(), key); err != nil || !bytes.Equal(got, value) {
				t.Fatalf("value of %d bytes came back with %d: %v", size, len(got), err)
			}
		}
		want := int64(2)
		if size <= 100 {
			want = 1
		}
		if n := behind.gets.Load(); n != want {
			t.Errorf("of a value of %d bytes the store was asked %d times, want %d", size, n, want)
		}
	}
}

// TestMoreThanFits reads more than the cache has room for.
func TestMoreThanFits(t *testing.T) {
	s, behind := open(t, &hotcache.Options{Bytes: 32 << 20, MaxValue: 16 << 10})
	const keys = 4000 // of 16 KiB
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 8<<10) }
	for i := range keys {
		if err := s.Put(t.Context(), fmt.Append(nil, i), value(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for i := range keys {
			got, pin, err := s.GetPinned(t.Context(), fmt.Append(nil, i))
			if err != nil || !bytes.Equal(got, value(i)) {
				t.Fatalf("key %d: wrong value, %v", i, err)
			}
			closePin(t, pin)
		}
	}
	if n := behind.gets.Load(); n <= keys {
		t.Errorf("the store was asked %d times, so nothing was dropped", n)
	}
}

func closePin(t *testing.T, c io.Closer) {
	t.Helper()
	if c == nil {
		return
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTogetherLarge gets more bytes of values together than are copied together.
func TestTogetherLarge(t *testing.T) {
	s, behind := open(t, nil)
	const n = 40
	var keys [][]byte
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 300*i) }
	for i := range n {
		keys = append(keys, fmt.Append(nil, i))
		if err := s.Put(t.Context(), keys[i], value(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		behind.gets.Store(0)
		calls := 0
		err := s.GetTogether(t.Context(), keys, func(i int, got []byte, err error) error {
			calls++
			if err != nil || !bytes.Equal(got, value(i)) {
				t.Errorf("key %d has %d bytes, %v; want %d", i, len(got), err, 300*i)
			}
			return nil
		})
		if err != nil || calls != n {
			t.Errorf("%d calls, %v", calls, err)
		}
	}
	if got := behind.gets.Load(); got != 0 {
		t.Errorf("the store was asked %d times for what is in the cache", got)
	}
}

// TestPinned has a value that was lent out of the cache stay as it is.
func TestPinned(t *testing.T) {
	s, _ := open(t, nil)
	put(t, s, "k", "old")
	get(t, s, "k")
	value, pin, err := s.GetPinned(t.Context(), []byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "new")
	for i := range 100 {
		put(t, s, fmt.Sprint(i), "other")
		get(t, s, fmt.Sprint(i))
	}
	if string(value) != "old" {
		t.Errorf("the pinned value became %q", value)
	}
	closePin(t, pin)
}

func TestClosed(t *testing.T) {
	s, _ := open(t, nil)
	put(t, s, "k", "v")
	get(t, s, "k")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), []byte("k")); !errors.Is(err, mld.ErrClosed) {
		t.Errorf("Get of a value in the cache of a closed store: %v", err)
	}
}

// TestGetDuringClose has a get read a value before the store is closed and come to
// its end after.
func TestGetDuringClose(t *testing.T) {
	s, behind := open(t, nil)
	put(t, s, "k", "v")
	inGet := newGate()
	behind.inGet = inGet
	done := make(chan string)
	go func() { done <- get(t, s, "k") }()
	<-inGet.reached
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	close(inGet.open)
	if got := <-done; got != "v" {
		t.Fatalf("the get that was under way got %q", got)
	}
	behind.inGet = nil
	if _, err := s.Get(t.Context(), []byte("k")); !errors.Is(err, mld.ErrClosed) {
		t.Errorf("Get from a closed store: %v", err)
	}
}

func TestStats(t *testing.T) {
	s := hotcache.New(memstore.New(), nil)
	defer s.Close()
	put(t, s, "k", "v")
	for range 3 {
		get(t, s, "k")
	}
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"value_cache_hits_total": 2, "value_cache_misses_total": 1, "value_cache_entries": 1} {
		if got := stats.Metrics[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if size := stats.Metrics["value_cache_bytes"]; size < 32<<20 || size > 40<<20 || float64(stats.MemoryBytes) < size {
		t.Errorf("the cache takes %.0f bytes, and all %d", size, stats.MemoryBytes)
	}
	if _, err := hotcache.New(&probed{Store: memstore.New()}, nil).Stats(t.Context()); !errors.Is(err, mld.ErrUnsupported) {
		t.Errorf("Stats of a store that has none: %v", err)
	}
}
