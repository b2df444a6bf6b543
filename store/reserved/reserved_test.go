package reserved_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/store/reserved"
	"github.com/multileveldown/mld/store/storetest"
)

var _ mld.Statser = (*reserved.Store)(nil)

// visible are keys as near to the reserved ones as can be, and hidden are reserved
// ones, both in order.
var (
	visible = []string{
		"", "a", "\xff", "\xff\xff", "\xff\xffmlc\xff\xff", "\xff\xffmld",
		"\xff\xffmld\x01", "\xff\xffmld\x01\x00", "\xff\xffmle", "\xff\xff\xff",
	}
	hidden = []string{mld.ReservedPrefix, mld.ReservedPrefix + "\x00", mld.ReservedPrefix + "a", mld.ReservedPrefix + "\xff\xff"}
	points = func() []string {
		p := append(slices.Clone(visible), hidden...)
		slices.Sort(p)
		return p
	}()
)

var engines = map[string]func(t testing.TB) mld.Store{
	"memory": func(testing.TB) mld.Store { return memstore.New() },
	"pebble": func(t testing.TB) mld.Store {
		return must(t)(pebblestore.Open(t.TempDir(), &pebblestore.Options{Durability: mld.DurabilityNoSync}))
	},
	"leveldb": func(t testing.TB) mld.Store {
		return must(t)(leveldbstore.Open(t.TempDir(), &leveldbstore.Options{Durability: mld.DurabilityNoSync}))
	},
}

func must(t testing.TB) func(mld.Store, error) mld.Store {
	return func(s mld.Store, err error) mld.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func fill(t testing.TB, s mld.Store, keys ...string) {
	t.Helper()
	var b mld.Batch
	for _, key := range keys {
		b.Put([]byte(key), []byte("value of "+key))
	}
	if err := s.Apply(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
}

func keysOf(t testing.TB, r mld.Reader, o *mld.IterOptions) []string {
	t.Helper()
	keys := []string{}
	for e, err := range mld.All(t.Context(), r, o) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(e.Key))
	}
	return keys
}

// TestConformance runs the suite over stores that look empty and are not.
func TestConformance(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) mld.Store {
				s := open(t)
				fill(t, s, hidden...)
				return reserved.Hide(s)
			}, nil)
		})
	}
}

// ranges calls f for ranges with bounds at every point: all of them for a stride of
// 1, else one in so many.
func ranges(stride int, f func(r mld.Range)) {
	n := 0
	sides := func(yield func(exclusive, inclusive []byte)) {
		yield(nil, nil)
		for i, p := range points {
			yield([]byte(p), nil)
			yield(nil, []byte(p))
			yield([]byte(p), []byte(points[(i*5+3)%len(points)]))
		}
	}
	sides(func(gt, gte []byte) {
		sides(func(lt, lte []byte) {
			for _, reverse := range []bool{false, true} {
				for _, limit := range []int{0, 1, 2, 5, 100} {
					if n++; n%stride == 0 {
						f(mld.Range{GT: gt, GTE: gte, LT: lt, LTE: lte, Reverse: reverse, Limit: limit})
					}
				}
			}
		})
	})
}

// strides say how many of the ranges an engine is tested with. They have no factor
// in common with the numbers of limits and directions.
var strides = map[string]int{"memory": 3, "pebble": 47, "leveldb": 47}

// within returns the visible keys of a range, in its direction, without its limit.
func within(r mld.Range) []string {
	keys := []string{}
	for _, key := range visible {
		if r.Contains([]byte(key)) {
			keys = append(keys, key)
		}
	}
	if r.Reverse {
		slices.Reverse(keys)
	}
	return keys
}

func limited(keys []string, limit int) []string {
	if limit > 0 && limit < len(keys) {
		return keys[:limit]
	}
	return keys
}

func show(r mld.Range) string {
	return fmt.Sprintf("gt=%q gte=%q lt=%q lte=%q limit=%d reverse=%t", r.GT, r.GTE, r.LT, r.LTE, r.Limit, r.Reverse)
}

func TestIterate(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			below := open(t)
			fill(t, below, points...)
			s := reserved.Hide(below)
			defer s.Close()
			ranges(strides[name], func(r mld.Range) {
				if t.Failed() {
					return
				}
				all := within(r)
				want := limited(all, r.Limit)
				if got := keysOf(t, s, &mld.IterOptions{Range: r}); !slices.Equal(got, want) {
					t.Errorf("%s: %q; want %q", show(r), got, want)
				}
				values := []string{}
				for e, err := range mld.All(t.Context(), s, &mld.IterOptions{Range: r, ValuesOnly: true}) {
					if err != nil || e.Key != nil {
						t.Fatalf("%s, values only: the key %q, %v", show(r), e.Key, err)
					}
					values = append(values, string(bytes.TrimPrefix(e.Value, []byte("value of "))))
				}
				if !slices.Equal(values, want) {
					t.Errorf("%s: values of %q; want of %q", show(r), values, want)
				}
				seek(t, s, r, all)
			})
		})
	}
}

// seek seeks every point with one iterator, whose limit goes on.
func seek(t *testing.T, s mld.Store, r mld.Range, all []string) {
	t.Helper()
	it, err := s.NewIterator(t.Context(), &mld.IterOptions{Range: r, KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	left := r.Limit
	if left == 0 {
		left = -1
	}
	for _, target := range points {
		it.Seek([]byte(target))
		i := len(all)
		if r.Contains([]byte(target)) {
			if i = slices.IndexFunc(all, func(key string) bool { return key == target || (key > target) != r.Reverse }); i < 0 {
				i = len(all)
			}
		}
		for _, want := range limited(all[i:], 2) {
			if left == 0 {
				break
			}
			if !it.Next() || string(it.Key()) != want || it.Value() != nil {
				t.Fatalf("%s, seek %q: %q, %v; want %q", show(r), target, it.Key(), it.Err(), want)
			}
			left--
		}
		if (left == 0 || i >= len(all)-2) && it.Next() {
			t.Fatalf("%s, seek %q: %q; want the end", show(r), target, it.Key())
		}
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestRemove clears ranges, and removes them as part of a batch, and looks below
// that nothing else is gone.
func TestRemove(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			below := open(t)
			s := reserved.Hide(below)
			defer s.Close()
			fill(t, below, points...)
			check := func(what string, r mld.Range) {
				t.Helper()
				removed := limited(within(r), r.Limit)
				want := slices.DeleteFunc(slices.Clone(points), func(key string) bool { return slices.Contains(removed, key) })
				if got := keysOf(t, below, nil); !slices.Equal(got, want) {
					t.Fatalf("%s of %s leaves %q; want %q", what, show(r), got, want)
				}
				fill(t, below, removed...)
			}
			ranges(strides[name], func(r mld.Range) {
				if t.Failed() {
					return
				}
				if err := s.Clear(t.Context(), r, nil); err != nil {
					t.Fatalf("Clear of %s: %v", show(r), err)
				}
				check("Clear", r)
				if r.Limit > 0 || r.Reverse {
					return
				}
				var b mld.Batch
				lower, upper := r.HalfOpen()
				b.Put([]byte("b"), nil)
				b.DeleteRange(lower, upper)
				b.Delete([]byte("b"))
				before := slices.Clone(b.Ops())
				if err := s.Apply(t.Context(), &b, nil); err != nil {
					t.Fatalf("Apply of %s: %v", show(r), err)
				}
				if len(before) != b.Len() {
					t.Fatalf("Apply changed the batch")
				}
				check("DeleteRange", r)
			})
		})
	}
}

// TestRefused looks that a write of a reserved key has no effect and says why.
func TestRefused(t *testing.T) {
	below := memstore.New()
	s := reserved.Hide(below)
	fill(t, below, points...)
	ctx := t.Context()
	batch := func(add func(b *mld.Batch, key []byte)) func(ctx context.Context, key []byte) error {
		return func(ctx context.Context, key []byte) error {
			var b mld.Batch
			b.DeleteRange(nil, nil)
			b.Put([]byte("a"), []byte("changed"))
			add(&b, key)
			b.Put([]byte(mld.ReservedPrefix+"later"), nil)
			return s.Apply(ctx, &b, nil)
		}
	}
	writes := map[string]func(ctx context.Context, key []byte) error{
		"put":          func(ctx context.Context, key []byte) error { return s.Put(ctx, key, nil, nil) },
		"delete":       func(ctx context.Context, key []byte) error { return s.Delete(ctx, key, nil) },
		"batch":        batch(func(b *mld.Batch, key []byte) { b.Put(key, nil) }),
		"batch delete": batch(func(b *mld.Batch, key []byte) { b.Delete(key) }),
	}
	for name, write := range writes {
		for _, key := range append(hidden, mld.ReservedPrefix+"missing") {
			err := write(ctx, []byte(key))
			var e *mld.Error
			if !errors.Is(err, mld.ErrReservedKey) || !errors.As(err, &e) || string(e.Key) != key || mld.OutcomeOf(err) != mld.NotApplied {
				t.Errorf("%s of %q: %v; want ErrReservedKey with the key", name, key, err)
			}
		}
		if got := keysOf(t, below, nil); !slices.Equal(got, points) {
			t.Errorf("%s: left %q; want %q", name, got, points)
		}
	}
	// Next to the reserved keys, everything goes.
	for _, key := range visible {
		if err := errors.Join(s.Delete(ctx, []byte(key), nil), s.Put(ctx, []byte(key), nil, nil)); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, write := range writes {
		if err := write(ended, []byte(hidden[0])); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", name, err)
		}
	}
	s.Close()
	for name, write := range writes {
		if err := write(ctx, []byte(hidden[0])); !errors.Is(err, mld.ErrClosed) {
			t.Errorf("%s of a closed store: %v", name, err)
		}
	}
	if _, err := s.Get(ctx, []byte(hidden[0])); !errors.Is(err, mld.ErrClosed) {
		t.Errorf("Get of a reserved key of a closed store: %v", err)
	}
}

// TestReads reads each point in each way, from stores and snapshots.
func TestReads(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			below := open(t)
			fill(t, below, points...)
			s := reserved.Hide(below)
			defer s.Close()
			snap, err := s.NewSnapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer snap.Close()
			for what, r := range map[string]mld.Reader{"store": s, "snapshot": snap} {
				if got := keysOf(t, r, nil); !slices.Equal(got, visible) {
					t.Errorf("%s: keys %q; want %q", what, got, visible)
				}
				var keys [][]byte
				var want [][]byte
				for _, p := range points {
					keys = append(keys, []byte(p))
					value := []byte("value of " + p)
					if slices.Contains(hidden, p) {
						value = nil
					}
					want = append(want, value)

					got, err := r.Get(t.Context(), []byte(p))
					checkRead(t, what+": Get", p, got, err, value)
					got, c, err := r.(mld.PinnedGetter).GetPinned(t.Context(), []byte(p))
					checkRead(t, what+": GetPinned", p, got, err, value)
					if c != nil {
						if err := c.Close(); err != nil {
							t.Error(err)
						}
					}
				}
				got, err := r.GetMany(t.Context(), keys)
				if err != nil || !slices.EqualFunc(got, want, same) {
					t.Errorf("%s: GetMany = %q, %v", what, got, err)
				}
				got = nil
				err = r.(mld.EachGetter).GetEach(t.Context(), keys, func(i int, value []byte) error {
					if i != len(got) {
						t.Errorf("%s: GetEach: %d after %d", what, i, len(got))
					}
					got = append(got, bytes.Clone(value))
					return nil
				})
				if err != nil || !slices.EqualFunc(got, want, same) {
					t.Errorf("%s: GetEach = %q, %v", what, got, err)
				}
			}
		})
	}
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func checkRead(t *testing.T, what, key string, got []byte, err error, want []byte) {
	t.Helper()
	if want == nil {
		var e *mld.Error
		if !errors.Is(err, mld.ErrNotFound) || got != nil || !errors.As(err, &e) || string(e.Key) != key {
			t.Errorf("%s(%q) = %q, %v; want ErrNotFound", what, key, got, err)
		}
	} else if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s(%q) = %q, %v; want %q", what, key, got, err, want)
	}
}

func TestStats(t *testing.T) {
	below := memstore.New()
	s := reserved.Hide(below)
	fill(t, below, points...)
	stats, err := s.Stats(t.Context())
	if err != nil || stats.Engine != "memory" || stats.Metrics["entries"] != float64(len(visible)) {
		t.Errorf("%+v, %v; want %d entries", stats, err, len(visible))
	}
	pebble := reserved.Hide(engines["pebble"](t))
	defer pebble.Close()
	if stats, err := pebble.Stats(t.Context()); err != nil || stats.Engine != "pebble" || len(stats.Metrics) == 0 {
		t.Errorf("%+v, %v", stats, err)
	} else if _, ok := stats.Metrics["entries"]; ok {
		t.Error("pebble has no number of entries, and Stats tells one")
	}
	if _, err := reserved.Hide(struct{ mld.Store }{below}).Stats(t.Context()); !errors.Is(err, mld.ErrUnsupported) {
		t.Errorf("a store that tells nothing: %v", err)
	}
}

// TestLimitedClearAmongWrites clears the first entry again and again while another
// puts new first ones. Each Clear must remove exactly one.
func TestLimitedClearAmongWrites(t *testing.T) {
	const rounds = 2000
	below := memstore.New()
	s := reserved.Hide(below)
	fill(t, below, hidden...)
	ctx := t.Context()
	above := func(n int) []byte { return fmt.Appendf(nil, "\xff\xffmle%05d", n) }
	for n := range rounds {
		if err := s.Put(ctx, above(n), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range rounds {
			if err := s.Put(ctx, fmt.Appendf(nil, "%05d", rounds-n), nil, nil); err != nil {
				t.Error(err)
			}
		}
	})
	for range rounds {
		if err := s.Clear(ctx, mld.Range{Limit: 1}, nil); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if n := len(keysOf(t, s, nil)); n != rounds {
		t.Errorf("%d entries are left; want %d", n, rounds)
	}
	if n := len(keysOf(t, below, nil)); n != rounds+len(hidden) {
		t.Errorf("%d entries are left below; want %d", n, rounds+len(hidden))
	}
}

// TestWalkInReverse walks to before the reserved keys, and then again from behind
// them: they are passed over both times.
func TestWalkInReverse(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			below := open(t)
			fill(t, below, points...)
			s := reserved.Hide(below)
			defer s.Close()
			it, err := s.NewIterator(t.Context(), &mld.IterOptions{Range: mld.Range{Reverse: true}})
			if err != nil {
				t.Fatal(err)
			}
			defer it.Close()
			want := within(mld.Range{Reverse: true})
			for range 2 {
				var got []string
				for more := true; more; {
					n := 0
					more = mld.Walk(it, func(key, _ []byte) bool {
						got = append(got, string(key))
						n++
						return n < 2
					})
				}
				if !slices.Equal(got, want) {
					t.Errorf("the walk passed %q, want %q", got, want)
				}
				it.Seek([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
			}
		})
	}
}
