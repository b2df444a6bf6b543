package storetest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/multileveldown/mld"
)

// randomKey returns one of few keys, so that bounds and targets meet keys that
// are there. Their bytes are those that escape prefix and successor arithmetic.
func (t *tester) randomKey(rng *rand.Rand) []byte {
	const alphabet = "\x00a\xff"
	n := rng.IntN(4)
	if n == 0 && t.o.NoEmptyKeys {
		n = 1
	}
	key := make([]byte, n)
	for i := range key {
		key[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return key
}

func (t *tester) randomRange(rng *rand.Rand) mld.Range {
	bound := func() []byte {
		switch rng.IntN(12) {
		case 0:
			return []byte{}
		case 1, 2, 3:
			return t.randomKey(rng)
		default:
			return nil
		}
	}
	r := mld.Range{GT: bound(), GTE: bound(), LT: bound(), LTE: bound(), Reverse: rng.IntN(2) == 0}
	if rng.IntN(2) == 0 {
		r.Limit = rng.IntN(20) - 1
	}
	return r
}

func (t *tester) randomBatch(rng *rand.Rand, n int) *mld.Batch {
	var b mld.Batch
	t.addRandom(rng, &b, n)
	return &b
}

func (t *tester) addRandom(rng *rand.Rand, b *mld.Batch, n int) {
	for range n {
		if rng.IntN(3) == 0 {
			b.Delete(t.randomKey(rng))
		} else {
			b.Put(t.randomKey(rng), t.randomValue(rng))
		}
	}
}

// addRandomRanges adds removals of ranges, each with something after it.
func (t *tester) addRandomRanges(rng *rand.Rand, b *mld.Batch, n int) {
	for range n {
		var upper []byte
		if rng.IntN(3) > 0 {
			upper = t.randomKey(rng)
		}
		b.DeleteRange(t.randomKey(rng), upper)
		t.addRandom(rng, b, rng.IntN(4))
	}
}

func (t *tester) randomValue(rng *rand.Rand) []byte {
	value := make([]byte, rng.IntN(12))
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	return value
}

// testRandomRanges compares walks with random bounds, limits and seeks with
// those of the model.
func testRandomRanges(t *tester) {
	rng := t.rand()
	b := t.randomBatch(rng, 40)
	t.apply(b)
	m := model(nil).apply(b)
	for range 400 {
		o := mld.IterOptions{Range: t.randomRange(rng)}
		switch rng.IntN(4) {
		case 0:
			o.KeysOnly = true
		case 1:
			o.ValuesOnly = true
		}
		got, want := t.iterator(t.s, &o), m.iterator(o.Range)
		var path []string
		for range rng.IntN(4) {
			compare := t.compareSteps
			if rng.IntN(2) == 0 {
				compare = t.compareWalk
			}
			path = compare(got, want, &o, rng.IntN(6), path)
			target := t.randomKey(rng)
			if len(target) == 0 && rng.IntN(2) == 0 {
				target = nil
			}
			path = append(path, "seek "+string(target))
			got.Seek(target)
			want.Seek(target)
		}
		compare := t.compareSteps
		if rng.IntN(2) == 0 {
			compare = t.compareWalk
		}
		compare(got, want, &o, len(m)+1, path)
		t.closeIterator(got)
	}
}

// compareSteps takes up to n steps with both iterators. path is what was done
// before, for the report; it is returned with the steps added.
func (t *tester) compareSteps(got mld.Iterator, want *modelIterator, o *mld.IterOptions, n int, path []string) []string {
	t.Helper()
	for range n {
		more := want.Next()
		if got.Next() != more {
			t.Fatalf("%s, after %q: Next = %t, %v; want %t", show(o), path, !more, got.Err(), more)
		}
		if !more {
			return append(path, "end")
		}
		path = append(path, string(want.current.Key))
		t.compareEntry(got.Key(), got.Value(), want, o, path)
	}
	return path
}

// compareWalk does as compareSteps does, in one walk of the store's iterator.
func (t *tester) compareWalk(got mld.Iterator, want *modelIterator, o *mld.IterOptions, n int, path []string) []string {
	t.Helper()
	if n == 0 {
		return path
	}
	left := n
	ended := mld.Walk(got, func(key, value []byte) bool {
		if !want.Next() {
			t.Fatalf("%s, after %q: the walk came to %q; want none", show(o), path, key)
		}
		path = append(path, "walk to "+string(want.current.Key))
		t.compareEntry(key, value, want, o, path)
		left--
		return left > 0
	})
	switch {
	case ended != (left == 0):
		t.Fatalf("%s, after %q: the walk reports that the function ended it: %t, %v", show(o), path, ended, got.Err())
	case ended:
		t.compareEntry(got.Key(), got.Value(), want, o, path) // it stands where it was ended
	case want.Next():
		t.Fatalf("%s, after %q: the walk has ended, %v; want %q", show(o), path, got.Err(), want.current.Key)
	default:
		path = append(path, "end")
	}
	return path
}

// compareEntry compares an entry with the one that the model is at.
func (t *tester) compareEntry(gotKey, gotValue []byte, want *modelIterator, o *mld.IterOptions, path []string) {
	t.Helper()
	key, value := want.current.Key, want.current.Value
	if o.KeysOnly {
		value = nil
	}
	if o.ValuesOnly {
		key = nil
	}
	if !bytes.Equal(gotKey, key) || !bytes.Equal(gotValue, value) {
		t.Fatalf("%s, at %q: entry %q, %q; want %q, %q", show(o), path, gotKey, gotValue, key, value)
	}
}

// testRandomHistory does random operations on the store and the model, and
// compares them and the views that were taken on the way.
func testRandomHistory(t *tester) {
	t.randomHistory(t.rand(), 300)
}

func (t *tester) randomHistory(rng *rand.Rand, steps int) model {
	type view struct {
		it   mld.Iterator
		snap mld.Snapshot
		m    model
	}
	var m model
	var views []view
	leave := func(v view) {
		t.Helper()
		var got []mld.Entry
		for v.it.Next() {
			got = append(got, mld.Entry{Key: bytes.Clone(v.it.Key()), Value: bytes.Clone(v.it.Value())})
		}
		if !equalEntries(got, v.m) {
			t.Fatalf("an iterator gave %q, %v; want %q", got, v.it.Err(), v.m)
		}
		t.closeIterator(v.it)
		if v.snap == nil {
			return
		}
		if got := t.collect(v.snap, nil); !equalEntries(got, v.m) {
			t.Fatalf("a snapshot gave %q; want %q", got, v.m)
		}
		if err := v.snap.Close(); err != nil {
			t.Fatalf("Snapshot.Close: %v", err)
		}
	}

	for range steps {
		switch rng.IntN(10) {
		case 0, 1, 2:
			key, value := t.randomKey(rng), t.randomValue(rng)
			t.put(string(key), string(value))
			m = m.put(key, value)
		case 3:
			key := t.randomKey(rng)
			t.delete(string(key))
			m = m.delete(key)
		case 4, 5:
			b := t.randomBatch(rng, rng.IntN(8))
			if !t.o.NoRangeDeletes && rng.IntN(3) == 0 {
				t.addRandomRanges(rng, b, 1+rng.IntN(3))
			}
			t.apply(b)
			m = m.apply(b)
		case 6:
			r := t.randomRange(rng)
			t.clear(r)
			m = m.clear(r)
		case 7:
			keys := [][]byte{t.randomKey(rng), t.randomKey(rng), t.randomKey(rng)}
			values, err := t.s.GetMany(t.ctx, keys)
			if err != nil || len(values) != len(keys) {
				t.Fatalf("GetMany = %d values, %v", len(values), err)
			}
			for i, key := range keys {
				want := m.get(key)
				if !bytes.Equal(values[i], want) || (values[i] == nil) != (want == nil) {
					t.Fatalf("GetMany: the value of %q is %#v; want %#v", key, values[i], want)
				}
			}
		case 8:
			views = append(views, view{t.iterator(t.s, nil), t.snapshot(), m})
		case 9:
			if len(views) > 0 {
				i := rng.IntN(len(views))
				leave(views[i])
				views = append(views[:i], views[i+1:]...)
			}
		}
		if got := t.collect(t.s, nil); !equalEntries(got, m) {
			t.Fatalf("the store holds %q; want %q", got, m)
		}
	}
	for _, v := range views {
		leave(v)
	}
	return m
}

func testReopen(t *testing.T, open func(t *testing.T) mld.Store, o *Options) {
	s := open(t)
	c := newTester(t, s, o)
	rng := c.rand()
	want := c.randomHistory(rng, 50)
	for range 3 {
		s = o.Reopen(t, s)
		c = newTester(t, s, o)
		if got := c.collect(s, nil); !equalEntries(got, want) {
			t.Fatalf("reopened, the store holds %q; want %q", got, want)
		}
		key := c.randomKey(rng)
		c.put(string(key), "reopened")
		want = want.put(key, []byte("reopened"))
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}
