package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
)

// altered is a store whose methods are replaced.
type altered struct {
	mld.Store
	get   func(ctx context.Context, key []byte) ([]byte, error)
	put   func(ctx context.Context, key, value []byte, o *mld.WriteOptions) error
	clear func() error
	next  func(it mld.Iterator) bool // of an iterator
}

func (s *altered) Get(ctx context.Context, key []byte) ([]byte, error) {
	if s.get == nil {
		return s.Store.Get(ctx, key)
	}
	return s.get(ctx, key)
}

func (s *altered) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if s.put == nil {
		return s.Store.Put(ctx, key, value, o)
	}
	return s.put(ctx, key, value, o)
}

func (s *altered) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	if s.clear == nil {
		return s.Store.Clear(ctx, r, o)
	}
	return s.clear()
}

func (s *altered) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	it, err := s.Store.NewIterator(ctx, o)
	if err != nil || s.next == nil {
		return it, err
	}
	return &alteredIterator{it, s.next}, nil
}

type alteredIterator struct {
	mld.Iterator
	next func(mld.Iterator) bool
}

func (it *alteredIterator) Next() bool { return it.next(it.Iterator) }

// loaded returns a Bench whose entries are there.
func loaded(t *testing.T, s mld.Store, o Options) *Bench {
	t.Helper()
	t.Cleanup(func() { s.Close() })
	b, err := New([]mld.Store{s}, &o)
	if err != nil {
		t.Fatal(err)
	}
	b.sleep = time.Sleep
	if err := b.Check(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func keysOf(t *testing.T, s mld.Store) (keys []string) {
	t.Helper()
	entries, err := mld.Collect(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		keys = append(keys, string(e.Key))
	}
	return keys
}

// TestWorkloads runs each workload over a store in memory, with what others have
// there around the keys of the Bench.
func TestWorkloads(t *testing.T) {
	s := memstore.New()
	others := []string{"a", "bench", "bench:", "bench:x", "bench;", "\xff"}
	for _, key := range others {
		if err := s.Put(t.Context(), []byte(key), []byte("theirs"), nil); err != nil {
			t.Fatal(err)
		}
	}
	const keys = 2500
	b := loaded(t, s, Options{Keys: keys, InFlight: 4, ValueSize: 20, BatchSize: 10, Warmup: time.Millisecond, Duration: 10 * time.Millisecond})
	for _, spec := range specs() {
		t.Run(spec.name, func(t *testing.T) {
			if err := b.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := keysOf(t, s); len(got) != keys+len(others) {
				t.Fatalf("%d entries before the run, want %d", len(got), keys+len(others))
			}
			result, err := b.Run(t.Context(), spec.name)
			if err != nil || result.Err != nil {
				t.Fatal(err, result)
			}
			if result.Workload != spec.name || result.Elapsed < 10*time.Millisecond || result.Unstarted != 0 {
				t.Errorf("%+v", result)
			}
			if spec.distribution == Uniform && len(result.Operations) != len(spec.mix) {
				t.Errorf("%d kinds of operations, want %d", len(result.Operations), len(spec.mix))
			}
			for _, o := range result.Operations {
				if !spec.has(func(k Kind) bool { return k == o.Kind }) || o.Count == 0 || o.Errors != 0 || o.NotFound != 0 {
					t.Errorf("%+v", o)
				}
				perOperation := map[Kind]int64{Batch: 10, Scan: keys, ScanReverse: keys, ReadModifyWrite: 2}[o.Kind]
				switch {
				case spec.scanLength > 0 && o.Kind == Scan:
					if o.Entries < o.Count || o.Entries > o.Count*100 {
						t.Errorf("%d scans of %d entries", o.Count, o.Entries)
					}
				case o.Entries != o.Count*max(perOperation, 1):
					t.Errorf("%d %v operations of %d entries", o.Count, o.Kind, o.Entries)
				case o.Kind != Delete && o.Bytes != o.Entries*(16+20):
					t.Errorf("%d entries of %d bytes", o.Entries, o.Bytes)
				}
				l := o.Latency
				if order := []time.Duration{l.Min, l.P50, l.P90, l.P99, l.P999, l.Max}; !slices.IsSorted(order) {
					t.Errorf("latencies %v", order)
				}
			}
		})
	}
	if err := b.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := keysOf(t, s); !slices.Equal(got, others) {
		t.Errorf("at the end there is %q, want %q", got, others)
	}
}

// slow returns a store whose gets take a time each, by their number from 0.
func slow(took func(n int64) time.Duration) *altered {
	s := &altered{Store: memstore.New()}
	var n atomic.Int64
	s.get = func(ctx context.Context, key []byte) ([]byte, error) {
		select {
		case <-time.After(took(n.Add(1) - 1)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return s.Store.Get(ctx, key)
	}
	return s
}

// TestStall is about a store that answers in 1 ms, and once in 100 ms. Without a
// rate one operation waits for that. With one, those that were due meanwhile do,
// too: every 2 ms, of 100, 99, 98 … ms.
func TestStall(t *testing.T) {
	stall := func(n int64) time.Duration {
		if n == 600 {
			return 100 * time.Millisecond
		}
		return time.Millisecond
	}
	for _, c := range []struct {
		rate          float64
		count         int64
		p50, p90, max time.Duration
	}{
		{0, 901, time.Millisecond, time.Millisecond, 100 * time.Millisecond},
		{500, 500, time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The warm-up is 500 operations, or 250.
				b := loaded(t, slow(stall), Options{Keys: 10, Rate: c.rate, Warmup: time.Second / 2, Duration: time.Second})
				result, err := b.Run(t.Context(), "get")
				if err != nil {
					t.Fatal(err)
				}
				o := result.Operations[0]
				if o.Count != c.count || result.Unstarted != 0 {
					t.Errorf("%d operations, want %d; %d were not started", o.Count, c.count, result.Unstarted)
				}
				l := o.Latency
				if !near(l.P50, c.p50) || !near(l.P90, c.p90) || l.Min != time.Millisecond || l.Max != c.max {
					t.Errorf("%+v, want %+v", l, c)
				}
			})
		})
	}
}

// near reports whether a percentile is as exact as it should be.
func near(got, want time.Duration) bool { return got >= want && got <= want+want/500 }

func TestRateThatIsTooHigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow(func(int64) time.Duration { return time.Millisecond })
		b := loaded(t, s, Options{Keys: 10, Rate: 2000, Duration: time.Second})
		result, err := b.Run(t.Context(), "get")
		if err != nil {
			t.Fatal(err)
		}
		o := result.Operations[0]
		if o.Count+result.Unstarted != 2000 || o.Count < 1000 || o.Count > 1110 {
			t.Errorf("%d operations done and %d not started, of 2000", o.Count, result.Unstarted)
		}
		// The one that was due at 500 ms came at 1 s.
		if p50 := o.Latency.P50; p50 < 250*time.Millisecond || o.Latency.Max < 500*time.Millisecond {
			t.Errorf("%+v", o.Latency)
		}
	})
}

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		s := &altered{Store: memstore.New()}
		s.get = func(ctx context.Context, key []byte) ([]byte, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-time.After(time.Millisecond)
			now.Add(-1)
			return s.Store.Get(ctx, key)
		}
		b := loaded(t, s, Options{Keys: 10, InFlight: 5, Duration: 100 * time.Millisecond})
		b.stores = []mld.Store{s, s, s}
		var shown []Progress
		b.o.OnProgress = func(p Progress) { shown = append(shown, p) }
		b.o.Duration = 3500 * time.Millisecond
		result, err := b.Run(t.Context(), "get")
		if err != nil {
			t.Fatal(err)
		}
		if got := result.Operations[0].Count; most.Load() != 15 || got != 15*3500 {
			t.Errorf("%d operations, %d at a time; want %d and 15", got, most.Load(), 15*3500)
		}
		if len(shown) != 3 || shown[2].What != "get" || shown[2].Elapsed != 3*time.Second || shown[2].Total != b.o.Duration ||
			shown[2].Entries < 15*2990 || shown[2].EntriesPerSecond < 14_900 || shown[2].EntriesPerSecond > 15_100 {
			t.Errorf("progress %+v", shown)
		}
	})
}

func TestNoAnswer(t *testing.T) {
	for _, rate := range []float64{0, 10} {
		synctest.Test(t, func(t *testing.T) {
			s := slow(func(n int64) time.Duration {
				if n < 5 {
					return time.Millisecond
				}
				return 24 * time.Hour
			})
			b := loaded(t, s, Options{Keys: 10, Rate: rate, Duration: time.Second, Timeout: 5 * time.Second})
			begin := time.Now()
			_, err := b.Run(t.Context(), "get")
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took < 5*time.Second || took > 7*time.Second {
				t.Errorf("rate %v: %v after %v", rate, err, took)
			}
		})
	}
	t.Run("check", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &altered{Store: memstore.New()}
			b := loaded(t, s, Options{Keys: 2000, Timeout: 5 * time.Second})
			// A context is heeded when the store is asked.
			ask := func(took time.Duration) {
				s.next = func(it mld.Iterator) bool {
					<-time.After(took)
					return it.Next()
				}
			}
			ask(10 * time.Millisecond)
			if err := b.Check(t.Context(), false); err != nil {
				t.Errorf("20 s of answers: %v", err)
			}
			ask(6 * time.Second)
			begin := time.Now()
			err := b.Check(t.Context(), false)
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > 7*time.Second {
				t.Errorf("no answer: %v after %v", err, took)
			}
		})
	})
	t.Run("nothing is asked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := slow(func(int64) time.Duration { return time.Millisecond })
			b := loaded(t, s, Options{Keys: 10, Rate: 0.1, Duration: time.Minute, Timeout: 5 * time.Second})
			if result, err := b.Run(t.Context(), "get"); err != nil || result.Operations[0].Count != 6 {
				t.Errorf("%+v, %v", result, err)
			}
		})
	})
}

func TestCancel(t *testing.T) {
	for _, rate := range []float64{0, 0.5} {
		synctest.Test(t, func(t *testing.T) {
			s := slow(func(int64) time.Duration { return time.Millisecond })
			b := loaded(t, s, Options{Keys: 10, Rate: rate, Duration: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			_, err := b.Run(ctx, "get")
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > 1100*time.Millisecond {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}

// TestWrong is about stores that do not give back what was written.
func TestWrong(t *testing.T) {
	for _, c := range []struct {
		name     string
		workload string
		spoil    func(s *altered)
		text     string
	}{
		{"another key's value", "get", func(s *altered) {
			s.get = func(ctx context.Context, key []byte) ([]byte, error) {
				return s.Store.Get(ctx, []byte("bench:0000000003"))
			}
		}, "not one that was written to this key"},
		{"a lost entry", "get", func(s *altered) {
			s.get = func(context.Context, []byte) ([]byte, error) { return nil, mld.ErrNotFound }
		}, "is not there"},
		{"a lost entry to modify", "ycsb-f", func(s *altered) {
			s.get = func(context.Context, []byte) ([]byte, error) { return nil, mld.ErrNotFound }
		}, "is not there"},
		{"a scan that ends early", "scan", func(s *altered) {
			s.next = func(it mld.Iterator) bool { return it.Next() && string(it.Key()) != "bench:0000000099" }
		}, "99 entries where 100"},
		{"a reverse scan that ends early", "scan-reverse", func(s *altered) {
			s.next = func(it mld.Iterator) bool { return it.Next() && string(it.Key()) != "bench:0000000000" }
		}, "99 entries where 100"},
		{"a scan in the wrong direction", "scan-reverse", func(s *altered) {
			s.next = func(it mld.Iterator) bool {
				if string(it.Key()) == "bench:0000000050" {
					it.Seek([]byte("bench:0000000060"))
				}
				return it.Next()
			}
		}, "out of order"},
		{"a scan that repeats", "scan", func(s *altered) {
			s.next = func(it mld.Iterator) bool {
				if string(it.Key()) == "bench:0000000050" {
					it.Seek([]byte("bench:0000000050"))
				}
				return it.Next()
			}
		}, "out of order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &altered{Store: memstore.New()}
			b := loaded(t, s, Options{Keys: 100, Duration: time.Second})
			c.spoil(s)
			result, err := b.Run(t.Context(), c.workload)
			if !errors.Is(err, mld.ErrCorruption) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}

// TestErrorsCount is about operations that fail while others do not.
func TestErrorsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &altered{Store: memstore.New()}
		var n atomic.Int64
		s.put = func(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
			<-time.After(time.Millisecond)
			if n.Add(1)%4 == 0 {
				return &mld.Error{Code: mld.CodeRefused, Msg: "every fourth"}
			}
			return s.Store.Put(ctx, key, value, o)
		}
		b := loaded(t, s, Options{Keys: 10, Duration: time.Second})
		result, err := b.Run(t.Context(), "put")
		if err != nil {
			t.Fatal(err)
		}
		o := result.Operations[0]
		if o.Count != 750 || o.Errors != 250 || o.Entries != 750 || !errors.Is(result.Err, mld.ErrRefused) {
			t.Errorf("%+v, %v", o, result.Err)
		}
	})
}

// TestInserts is about keys that a workload adds, of which every third fails.
func TestInserts(t *testing.T) {
	for _, failing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &altered{Store: memstore.New()}
			var puts, newest int64
			s.put = func(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
				<-time.After(time.Millisecond)
				if puts++; failing && puts%3 == 0 {
					return mld.ErrLimitExceeded
				}
				return s.Store.Put(ctx, key, value, o)
			}
			s.get = func(ctx context.Context, key []byte) ([]byte, error) {
				<-time.After(time.Millisecond)
				if index, _ := parseKey(key, DefaultPrefix); index >= 10 {
					newest++
				}
				return s.Store.Get(ctx, key)
			}
			b := loaded(t, s, Options{Keys: 10, Duration: time.Second})
			result, err := b.Run(t.Context(), "ycsb-d")
			if err != nil {
				t.Fatal(err)
			}
			gets := result.Operations[0]
			if newest < gets.Count/2 {
				t.Errorf("%d of %d gets were of what had been inserted", newest, gets.Count)
			}
			if missed := gets.NotFound > 0; missed != failing {
				t.Errorf("%d gets found nothing, though inserts failed: %v", gets.NotFound, failing)
			}
		})
	}
}

// TestOptionsOfARun is about the options that alter what a workload does.
func TestOptionsOfARun(t *testing.T) {
	var durability mld.Durability
	var last string
	s := &altered{Store: memstore.New()}
	s.put = func(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
		durability, last = o.Durable(mld.DurabilityDefault), string(key)
		return s.Store.Put(ctx, key, value, o)
	}
	b := loaded(t, s, Options{
		Keys: 1000, Duration: time.Nanosecond, Write: mld.NoSync, ReadFraction: new(1.0), Distribution: Sequential,
	})
	for _, c := range []struct {
		workload string
		want     mld.Durability
	}{{"put", mld.DurabilityNoSync}, {"put-sync", mld.DurabilitySync}} {
		result, err := b.Run(t.Context(), c.workload)
		if err != nil {
			t.Fatal(err)
		}
		if o := result.Operations; len(o) != 1 || o[0].Kind != Put || o[0].Count != 1 || durability != c.want {
			t.Errorf("%s: %+v, %v; want one put, %v", c.workload, o, durability, c.want)
		}
		if want := "bench:0000000000"; last != want {
			t.Errorf("%s: the first key is %s, want %s", c.workload, last, want)
		}
	}
	b.o.InFlight = 20
	result, err := b.Run(t.Context(), "mixed")
	if err != nil {
		t.Fatal(err)
	}
	if o := result.Operations; len(o) != 1 || o[0].Kind != Get || o[0].Count != 20 {
		t.Errorf("mixed: %+v, want 20 gets", o)
	}
}

// TestNotLoaded is about entries that are not there and need not be.
func TestNotLoaded(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	b, err := New([]mld.Store{s}, &Options{Keys: 100, Duration: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	result, err := b.Run(t.Context(), "get")
	if err != nil {
		t.Fatal(err)
	}
	if o := result.Operations[0]; o.NotFound != o.Count || o.Entries != 0 {
		t.Errorf("%+v", o)
	}
}

func TestCheck(t *testing.T) {
	check := func(s mld.Store, writes bool) error {
		b, err := New([]mld.Store{s}, &Options{Keys: 100})
		if err != nil {
			t.Fatal(err)
		}
		return b.Check(t.Context(), writes)
	}
	t.Run("kept entries", func(t *testing.T) {
		b := loaded(t, memstore.New(), Options{Keys: 300, ValueSize: 3})
		if err := check(b.stores[0], true); err != nil {
			t.Error(err)
		}
		if got := keysOf(t, b.stores[0]); len(got) != 300 {
			t.Errorf("%d entries are left of 300", len(got))
		}
	})
	for _, key := range []string{"bench:0000000050", "bench:00000000000", "bench:1", "bench:5 users"} {
		t.Run(key, func(t *testing.T) {
			s := memstore.New()
			defer s.Close()
			if err := s.Put(t.Context(), []byte(key), []byte("theirs"), nil); err != nil {
				t.Fatal(err)
			}
			err := check(s, true)
			inRange := new(mld.Range)
			*inRange = keyRange(DefaultPrefix)
			if want := inRange.Contains([]byte(key)); errors.Is(err, mld.ErrInvalidArgument) != want || err != nil != want {
				t.Errorf("%v", err)
			}
			if got := keysOf(t, s); !slices.Equal(got, []string{key}) {
				t.Errorf("there is %q", got)
			}
		})
	}
	t.Run("read-only", func(t *testing.T) {
		s := &altered{Store: memstore.New(), clear: func() error { return mld.ErrReadOnly }}
		defer s.Close()
		if err := check(s, true); !errors.Is(err, mld.ErrReadOnly) || !strings.Contains(err.Error(), DefaultPrefix) {
			t.Errorf("%v", err)
		}
		if err := check(s, false); err != nil {
			t.Errorf("to read: %v", err)
		}
	})
}

func TestValidate(t *testing.T) {
	if err := (*Options)(nil).Validate(); err != nil {
		t.Error(err)
	}
	for _, o := range []Options{
		{Keys: -1},
		{Keys: maxKeys},
		{ValueSize: -1},
		{InFlight: -1},
		{Rate: -1},
		{Duration: -1},
		{Distribution: "some"},
		{ReadFraction: new(1.5)},
	} {
		if _, err := New(nil, &o); !errors.Is(err, mld.ErrInvalidArgument) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	b, err := New([]mld.Store{memstore.New()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Run(t.Context(), "nothing"); !errors.Is(err, mld.ErrInvalidArgument) || !strings.Contains(err.Error(), "ycsb-f") {
		t.Error(err)
	}
}
