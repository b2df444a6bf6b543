package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/multileveldown/mld"
)

// testAtomicity writes all keys of a group in one batch with one value, and
// clears them all, while others read: each read must see either no key or every
// key with the same value.
func testAtomicity(t *tester) {
	const group, reads, batches = 20, 40, 40
	all := mld.Range{GTE: []byte("k"), LT: []byte("l")}
	keys := make([][]byte, group)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "k%02d", i)
	}
	check := func(what string, values [][]byte) {
		if len(values) != 0 && len(values) != group {
			t.Errorf("%s saw %d keys of %d", what, len(values), group)
			return
		}
		for _, v := range values {
			if !bytes.Equal(v, values[0]) {
				t.Errorf("%s saw values of two batches, %q and %q", what, values[0], v)
				return
			}
		}
	}
	scan := func(what string, r mld.Reader, reverse bool) {
		var values [][]byte
		for e, err := range mld.All(t.ctx, r, &mld.IterOptions{Range: mld.Range{Reverse: reverse}}) {
			if err != nil {
				t.Errorf("%s: %v", what, err)
				return
			}
			values = append(values, bytes.Clone(e.Value))
		}
		check(what, values)
	}
	getMany := func(what string, r mld.Reader) {
		values, err := r.GetMany(t.ctx, keys)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		check(what, slices.DeleteFunc(values, func(v []byte) bool { return v == nil }))
	}
	readers := []func(){
		func() { scan("an iterator", t.s, false) },
		func() { scan("a reverse iterator", t.s, true) },
		func() { getMany("GetMany", t.s) },
	}
	if !t.o.NoSnapshots {
		readers = append(readers, func() {
			snap, err := t.s.NewSnapshot(t.ctx)
			if err != nil {
				t.Errorf("NewSnapshot: %v", err)
				return
			}
			defer snap.Close()
			scan("a snapshot", snap, false)
			getMany("GetMany of a snapshot", snap)
		})
	}

	var left, applied atomic.Int64
	left.Store(int64(len(readers)))
	var wg sync.WaitGroup
	for _, read := range readers {
		wg.Go(func() {
			defer left.Add(-1)
			// On a busy machine the reads can be over before the first batch is.
			for n := 0; n < reads || applied.Load() < batches; n++ {
				if read(); t.Failed() {
					return
				}
			}
		})
	}
	clears := []mld.Range{all, {}, {Limit: group}, {GTE: []byte("k"), Limit: group, Reverse: true}}
	var b mld.Batch
	for i := 0; left.Load() > 0; i++ {
		b.Reset()
		for _, key := range keys {
			b.Put(key, fmt.Appendf(nil, "%d", i))
		}
		if err := t.s.Apply(t.ctx, &b, mld.NoSync); err != nil {
			t.Errorf("Apply: %v", err)
			break
		}
		applied.Add(1)
		if i%2 == 0 {
			continue
		}
		if err := t.s.Clear(t.ctx, clears[i/2%len(clears)], mld.NoSync); err != nil {
			t.Errorf("Clear: %v", err)
			break
		}
	}
	wg.Wait()
}

// testDeleteRangeAtomicity writes batches that remove everything and put one key
// again, and batches of a key below it and one above it. The first key must always
// be there, and of the others both or none.
func testDeleteRangeAtomicity(t *tester) {
	if t.o.NoRangeDeletes {
		t.Log("does not apply: Options.NoRangeDeletes is set")
		return
	}
	const rounds, leastReads = 100, 100
	keys := [][]byte{[]byte("a"), []byte("m"), []byte("z")}
	t.put("m", "0")
	var reads atomic.Int64
	var removed, failed atomic.Bool
	var wg sync.WaitGroup
	loop := func(what string, f func() error) {
		wg.Go(func() {
			for !failed.Load() && (!removed.Load() || reads.Load() < leastReads) {
				if err := f(); err != nil {
					t.Errorf("%s: %v", what, err)
					failed.Store(true)
				}
			}
		})
	}
	loop("GetMany", func() error {
		values, err := t.s.GetMany(t.ctx, keys)
		if err == nil && (values[1] == nil || (values[0] == nil) != (values[2] == nil)) {
			err = fmt.Errorf("a batch by half: a %t, m %t, z %t", values[0] != nil, values[1] != nil, values[2] != nil)
		}
		reads.Add(1)
		return err
	})
	var pair mld.Batch
	pair.Put(keys[0], nil)
	pair.Put(keys[2], nil)
	loop("Apply of puts", func() error { return t.s.Apply(t.ctx, &pair, mld.NoSync) })
	var b mld.Batch
	n := 0
	loop("Apply of removals", func() error {
		b.Reset()
		switch n % 3 {
		case 0:
			b.DeleteRange(nil, nil)
		case 1:
			b.DeleteRange([]byte("a"), []byte("zz"))
		case 2:
			b.DeleteRange([]byte("n"), nil)
			b.DeleteRange(nil, []byte("n"))
		}
		b.Put(keys[1], fmt.Appendf(nil, "%d", n))
		if n++; n == rounds {
			removed.Store(true)
		}
		return t.s.Apply(t.ctx, &b, mld.NoSync)
	})
	wg.Wait()
}

// testConcurrency lets several goroutines work on keys of their own, each with a
// model of its own, and compares the whole at the end.
func testConcurrency(t *tester) {
	const workers, steps = 8, 60
	seeds := t.rand()
	models := make([]model, workers)
	var wg sync.WaitGroup
	for i := range models {
		rng := rand.New(rand.NewPCG(seeds.Uint64(), 0))
		wg.Go(func() { models[i] = t.work(rng, fmt.Sprintf("%d/", i), steps) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if got, want := t.collect(t.s, nil), slices.Concat(models...); !equalEntries(got, want) {
		t.Fatalf("the store holds %d entries that differ from the %d that were written", len(got), len(want))
	}
}

// work does random operations on the keys with a prefix and compares what it
// reads with a model, which it returns. It runs in a goroutine of its own.
func (t *tester) work(rng *rand.Rand, prefix string, steps int) model {
	var m model
	mine := mld.Range{GTE: []byte(prefix), LT: []byte(prefix[:len(prefix)-1] + "0")}
	for range steps {
		key := fmt.Appendf(nil, "%s%d", prefix, rng.IntN(10))
		value := t.randomValue(rng)
		var err error
		switch rng.IntN(8) {
		case 0, 1, 2:
			err = t.s.Put(t.ctx, key, value, mld.NoSync)
			m = m.put(key, value)
		case 3:
			err = t.s.Delete(t.ctx, key, mld.NoSync)
			m = m.delete(key)
		case 4:
			var b mld.Batch
			b.Put(key, value)
			b.Delete([]byte(prefix + "0"))
			b.Put([]byte(prefix+"1"), value)
			err = t.s.Apply(t.ctx, &b, mld.NoSync)
			m = m.apply(&b)
		case 5:
			r := mine
			r.Limit, r.Reverse = 1+rng.IntN(2), rng.IntN(2) == 0
			err = t.s.Clear(t.ctx, r, mld.NoSync)
			m = m.clear(r)
		case 6:
			var got []byte
			got, err = t.s.Get(t.ctx, key)
			want := m.get(key)
			if errors.Is(err, mld.ErrNotFound) && want == nil {
				err = nil
			} else if !bytes.Equal(got, want) {
				t.Errorf("Get(%q) = %q, %v; want %q", key, got, err, want)
			}
		case 7:
			var got []mld.Entry
			got, err = mld.Collect(t.ctx, t.s, &mld.IterOptions{Range: mine})
			if !equalEntries(got, m) {
				t.Errorf("Collect(%q) = %q; want %q", prefix, got, m)
			}
		}
		if err != nil {
			t.Errorf("%q: %v", key, err)
		}
		if t.Failed() {
			return m
		}
	}
	return m
}

// testCloseInUse closes the store while every method is being called. Nobody may
// get anything but a right answer or ErrClosed; a write that was under way may
// also say that its outcome is unknown.
func testCloseInUse(t *tester) {
	t.putAll("a", "b", "c")
	started := make(chan struct{}, 16)
	var wg sync.WaitGroup
	// loop calls f until it fails, and tells when it has succeeded once.
	loop := func(what string, f func() error) {
		wg.Go(func() {
			first := true
			for {
				err := f()
				if first {
					started <- struct{}{}
					first = false
				}
				if err == nil {
					continue
				}
				if !errors.Is(err, mld.ErrClosed) && !errors.Is(err, mld.ErrOutcomeUnknown) {
					t.Errorf("%s while the store is closed: %v", what, err)
				}
				return
			}
		})
	}
	key := []byte("a")
	loop("Get", func() error { _, err := t.s.Get(t.ctx, key); return err })
	loop("GetPinned", func() error {
		v, c, err := mld.GetPinned(t.ctx, t.s, key)
		if err == nil && string(v) != "value of a" {
			t.Errorf("GetPinned = %q", v)
		}
		if c != nil {
			err = errors.Join(err, c.Close())
		}
		return err
	})
	loop("GetMany", func() error { _, err := t.s.GetMany(t.ctx, [][]byte{key}); return err })
	loop("Collect", func() error { _, err := mld.Collect(t.ctx, t.s, nil); return err })
	loop("Put", func() error { return t.s.Put(t.ctx, []byte("d"), key, mld.NoSync) })
	loop("Delete", func() error { return t.s.Delete(t.ctx, []byte("d"), mld.NoSync) })
	loop("Clear", func() error { return t.s.Clear(t.ctx, mld.Range{GTE: []byte("d")}, mld.NoSync) })
	loops := 7
	if !t.o.NoSnapshots {
		loops++
		loop("NewSnapshot", func() error {
			snap, err := t.s.NewSnapshot(t.ctx)
			if err != nil {
				return err
			}
			_, err = snap.Get(t.ctx, key)
			if cerr := snap.Close(); err == nil {
				err = cerr
			}
			return err
		})
	}
	for range loops {
		<-started
	}
	if err := t.s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
}
