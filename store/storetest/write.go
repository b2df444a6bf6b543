package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/multileveldown/mld"
)

func testGetPutDelete(t *tester) {
	t.wantMissing(t.s, "a")
	t.delete("a")
	t.put("a", "1")
	t.want(t.s, "a", "1")
	t.wantMissing(t.s, "A")
	t.wantMissing(t.s, "aa")
	t.put("a", "2")
	t.put("aa", "3")
	t.want(t.s, "a", "2")
	t.want(t.s, "aa", "3")
	t.delete("a")
	t.wantMissing(t.s, "a")
	t.want(t.s, "aa", "3")
	t.put("a", "4")
	t.want(t.s, "a", "4")
}

func testEmpty(t *tester) {
	for _, value := range [][]byte{nil, {}} {
		if err := t.s.Put(t.ctx, []byte("empty"), value, nil); err != nil {
			t.Fatalf("Put of the value %#v: %v", value, err)
		}
		t.want(t.s, "empty", "")
		values, err := t.s.GetMany(t.ctx, [][]byte{[]byte("empty")})
		if err != nil || len(values) != 1 || values[0] == nil || len(values[0]) != 0 {
			t.Fatalf("GetMany of an empty value = %#v, %v", values, err)
		}
		t.delete("empty")
		t.wantMissing(t.s, "empty")
	}

	if t.o.NoEmptyKeys {
		t.refusesEmptyKeys()
		return
	}
	t.put("a", "after")
	for _, key := range [][]byte{nil, {}} {
		t.wantMissing(t.s, "")
		if err := t.s.Put(t.ctx, key, []byte("v"), nil); err != nil {
			t.Fatalf("Put of the key %#v: %v", key, err)
		}
		t.want(t.s, "", "v")
		t.wantKeys(t.s, nil, "", "a")
		t.wantKeys(t.s, &mld.IterOptions{Range: mld.Range{LTE: []byte{}}}, "")
		t.wantKeys(t.s, &mld.IterOptions{Range: mld.Range{GT: []byte{}}}, "a")
		for _, reverse := range []bool{false, true} {
			it := t.iterator(t.s, &mld.IterOptions{Range: mld.Range{LTE: []byte{}, Reverse: reverse}})
			it.Seek(key)
			if got := t.rest(it); !slices.Equal(got, []string{""}) {
				t.Fatalf("a seek of the key %#v, reverse %t = %q; want it", key, reverse, got)
			}
			t.closeIterator(it)
		}
		if got, err := t.s.Get(t.ctx, key); err != nil || string(got) != "v" {
			t.Fatalf("Get of the key %#v = %q, %v", key, got, err)
		}
		if err := t.s.Delete(t.ctx, key, nil); err != nil {
			t.Fatalf("Delete of the key %#v: %v", key, err)
		}
	}
	var b mld.Batch
	b.Put(nil, nil)
	t.apply(&b)
	t.want(t.s, "", "")
	t.clear(mld.Range{LT: []byte("a")})
	t.wantKeys(t.s, nil, "a")
}

func (t *tester) refusesEmptyKeys() {
	_, err := t.s.Get(t.ctx, nil)
	if err == nil || errors.Is(err, mld.ErrNotFound) {
		t.Errorf("Get of the empty key: error %v; want a refusal", err)
	}
	if err := t.s.Put(t.ctx, nil, []byte("v"), nil); err == nil {
		t.Error("Put of the empty key: no error")
	}
	if err := t.s.Delete(t.ctx, nil, nil); err == nil {
		t.Error("Delete of the empty key: no error")
	}
	var b mld.Batch
	b.Put([]byte("a"), []byte("1"))
	b.Put(nil, []byte("v"))
	if err := t.s.Apply(t.ctx, &b, nil); err == nil {
		t.Error("Apply with the empty key: no error")
	}
	t.wantKeys(t.s, nil)
}

// testBinaryKeys stores every byte alone, doubled, and after and before a zero,
// and looks at their order.
func testBinaryKeys(t *tester) {
	var m model
	var b mld.Batch
	for i := range 256 {
		c := byte(i)
		for _, key := range [][]byte{{c}, {c, c}, {0, c}, {c, 0}, {c, 0xff}} {
			value := append([]byte("v"), key...)
			b.Put(key, value)
			m = m.put(key, value)
		}
	}
	t.apply(&b)
	if got := t.collect(t.s, nil); !equalEntries(got, m) {
		t.Fatalf("the entries differ from those that were put: %d of %d", len(got), len(m))
	}
	for _, key := range []string{"\x00", "\x00\x00", "\xff", "\xff\xff", "\x80", "\xff\x00"} {
		t.want(t.s, key, "v"+key)
	}
	t.wantKeys(t.s, &mld.IterOptions{Range: mld.Range{GT: []byte{0xfe, 0xff}}}, "\xff", "\xff\x00", "\xff\xff")
}

func testBigValues(t *tester) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	longKey := strings.Repeat("k", 10<<10)
	t.put("big", string(big))
	t.put(longKey, "long")
	var b mld.Batch
	for i := range 3 {
		b.Put(fmt.Appendf(nil, "big%d", i), big)
	}
	t.apply(&b)
	t.want(t.s, longKey, "long")
	values, err := t.s.GetMany(t.ctx, [][]byte{[]byte("big"), []byte("big2")})
	if err != nil || len(values) != 2 || !bytes.Equal(values[0], big) || !bytes.Equal(values[1], big) {
		t.Fatalf("GetMany of big values: %d values, %v", len(values), err)
	}
	n := 0
	for e, err := range mld.All(t.ctx, t.s, &mld.IterOptions{Range: mld.Range{LT: []byte("c")}}) {
		if err != nil || !bytes.Equal(e.Value, big) {
			t.Fatalf("entry %q of %d bytes, %v", e.Key, len(e.Value), err)
		}
		n++
	}
	if n != 4 {
		t.Fatalf("walked %d big values; want 4", n)
	}
}

func testGetMany(t *tester) {
	t.put("a", "1")
	t.put("b", "2")
	t.put("empty", "")
	keys := [][]byte{[]byte("b"), []byte("missing"), []byte("a"), []byte("empty"), []byte("b"), []byte("aa")}
	want := []string{"2", "", "1", "", "2", ""}
	readers := map[string]mld.Reader{"store": t.s}
	if snap := t.snapshot(); snap != nil {
		defer snap.Close()
		readers["snapshot"] = snap
	}
	for name, r := range readers {
		values, err := r.GetMany(t.ctx, keys)
		if err != nil || len(values) != len(keys) {
			t.Fatalf("%s: GetMany = %d values, %v; want %d", name, len(values), err, len(keys))
		}
		for i, v := range values {
			present := i != 1 && i != 5
			if string(v) != want[i] || (v != nil) != present {
				t.Errorf("%s: GetMany: the value of %q is %#v; want %q, present %t", name, keys[i], v, want[i], present)
			}
		}
		for _, none := range [][][]byte{nil, {}} {
			if values, err := r.GetMany(t.ctx, none); err != nil || len(values) != 0 {
				t.Errorf("%s: GetMany of no keys = %q, %v", name, values, err)
			}
		}
	}
}

// lent is a slice within a longer one, so that a write past its end shows.
func lent(s string) (slice, whole []byte) {
	whole = []byte(s + "#####")
	return whole[:len(s)], whole
}

// testOwnership changes what it passed in after each call and what it got, and
// looks whether the store changed either.
func testOwnership(t *tester) {
	var wholes [][]byte
	lend := func(s string) []byte {
		slice, whole := lent(s)
		wholes = append(wholes, whole, []byte(s+"#####"))
		return slice
	}
	// reclaim checks that what was lent is unchanged, and then spoils it.
	reclaim := func(what string) {
		t.Helper()
		for i := 0; i < len(wholes); i += 2 {
			if !bytes.Equal(wholes[i], wholes[i+1]) {
				t.Fatalf("%s changed its argument %q to %q", what, wholes[i+1], wholes[i])
			}
			for j := range wholes[i] {
				wholes[i][j] = 'X'
			}
		}
		wholes = nil
	}

	if err := t.s.Put(t.ctx, lend("a"), lend("1"), nil); err != nil {
		t.Fatal(err)
	}
	reclaim("Put")
	t.want(t.s, "a", "1")

	var b mld.Batch
	b.Append(
		mld.Op{Kind: mld.OpPut, Key: lend("b"), Value: lend("2")},
		mld.Op{Kind: mld.OpPut, Key: lend("c"), Value: lend("3")},
		mld.Op{Kind: mld.OpDelete, Key: lend("d")})
	ops := slices.Clone(b.Ops())
	t.apply(&b)
	if !slices.EqualFunc(ops, b.Ops(), func(x, y mld.Op) bool {
		return x.Kind == y.Kind && bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Value, y.Value)
	}) {
		t.Fatalf("Apply changed the batch to %v", b.Ops())
	}
	reclaim("Apply")
	t.want(t.s, "b", "2")
	t.want(t.s, "c", "3")

	got, err := t.s.Get(t.ctx, lend("b"))
	if err != nil {
		t.Fatal(err)
	}
	reclaim("Get")
	got[0] = 'X'
	t.want(t.s, "b", "2")

	values, err := t.s.GetMany(t.ctx, [][]byte{lend("b"), lend("c"), lend("b")})
	if err != nil {
		t.Fatal(err)
	}
	reclaim("GetMany")
	values[0][0] = 'X'
	_ = append(values[0], "overflow"...)
	if string(values[1]) != "3" || string(values[2]) != "2" {
		t.Fatalf("GetMany: values share memory: %q", values)
	}
	t.want(t.s, "b", "2")

	o := &mld.IterOptions{Range: mld.Range{GTE: lend("a"), GT: lend("a"), LTE: lend("c"), LT: lend("d")}}
	it := t.iterator(t.s, o)
	reclaim("NewIterator")
	*o = mld.IterOptions{Range: mld.Range{Limit: 1}}
	if got := t.rest(it); !slices.Equal(got, []string{"b", "c"}) {
		t.Fatalf("keys after the options were changed = %q; want b, c", got)
	}
	it.Seek(lend("c"))
	reclaim("Seek")
	if got := t.rest(it); !slices.Equal(got, []string{"c"}) {
		t.Fatalf("keys after the target was changed = %q; want c", got)
	}
	t.closeIterator(it)

	if err := t.s.Delete(t.ctx, lend("a"), nil); err != nil {
		t.Fatal(err)
	}
	reclaim("Delete")
	t.clear(mld.Range{GTE: lend("b"), LTE: lend("b")})
	reclaim("Clear")
	t.wantKeys(t.s, nil, "c")
	if t.o.NoRangeDeletes {
		return
	}
	t.putAll("a", "b")
	b.Reset()
	b.Append(mld.Op{Kind: mld.OpDeleteRange, Key: lend("a"), Value: lend("b")})
	t.apply(&b)
	reclaim("Apply that removes a range")
	t.wantKeys(t.s, nil, "b", "c")
}

// testDeferred goes for every store: one that defers nothing has applied the batch.
func testDeferred(t *tester) {
	t.put("a", "0")
	t.want(t.s, "a", "0")
	for _, o := range []*mld.WriteOptions{nil, mld.Sync, mld.NoSync} {
		for i := range 3 {
			var b mld.Batch
			value := fmt.Sprint(i)
			b.Put([]byte("a"), []byte(value))
			b.Delete([]byte("b"))
			b.Put([]byte("c"), nil)
			if err := mld.ApplyDeferred(t.ctx, t.s, &b, o); err != nil {
				t.Fatalf("ApplyDeferred: %v", err)
			}
			t.want(t.s, "a", value)
			t.wantKeys(t.s, nil, "a", "c")
			t.put("b", "")
		}
		if err := mld.Harden(t.ctx, t.s, o); err != nil {
			t.Fatalf("Harden: %v", err)
		}
	}
	t.wantKeys(t.s, nil, "a", "b", "c")
	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	var b mld.Batch
	b.Put([]byte("d"), nil)
	t.wantErr("ApplyDeferred with an ended context", mld.ApplyDeferred(ended, t.s, &b, nil), context.Canceled)
	t.wantMissing(t.s, "d")
}

func testDurability(t *tester) {
	for _, o := range []*mld.WriteOptions{nil, {}, mld.Sync, mld.NoSync} {
		name := fmt.Sprintf("%+v", o)
		var b mld.Batch
		b.Put([]byte("b"), []byte("1"))
		if err := t.s.Put(t.ctx, []byte("a"), []byte("1"), o); err != nil {
			t.Errorf("Put with %s: %v", name, err)
		}
		if err := t.s.Apply(t.ctx, &b, o); err != nil {
			t.Errorf("Apply with %s: %v", name, err)
		}
		t.wantKeys(t.s, nil, "a", "b")
		if err := t.s.Delete(t.ctx, []byte("a"), o); err != nil {
			t.Errorf("Delete with %s: %v", name, err)
		}
		if err := t.s.Clear(t.ctx, mld.Range{}, o); err != nil {
			t.Errorf("Clear with %s: %v", name, err)
		}
		t.wantKeys(t.s, nil)
	}
}

func testBatch(t *tester) {
	var b mld.Batch
	t.apply(&b)
	t.wantKeys(t.s, nil)

	t.put("c", "0")
	b.Put([]byte("a"), []byte("1"))
	b.Delete([]byte("a"))
	b.Delete([]byte("b"))
	b.Put([]byte("b"), []byte("2"))
	b.Delete([]byte("c"))
	b.Put([]byte("d"), []byte("first"))
	b.Put([]byte("d"), []byte("last"))
	b.Delete([]byte("missing"))
	t.apply(&b)
	t.wantKeys(t.s, nil, "b", "d")
	t.want(t.s, "b", "2")
	t.want(t.s, "d", "last")

	// A batch can be applied again, and goes on to be used.
	t.clear(mld.Range{})
	t.apply(&b)
	t.wantKeys(t.s, nil, "b", "d")
	b.Reset()
	b.Put([]byte("e"), []byte("5"))
	t.apply(&b)
	t.wantKeys(t.s, nil, "b", "d", "e")

	for _, kind := range []mld.OpKind{0, 99} {
		b.Reset()
		b.Put([]byte("f"), []byte("6"))
		b.Append(mld.Op{Kind: kind, Key: []byte("g")})
		t.wantErr(fmt.Sprintf("Apply with an operation of kind %d", kind), t.s.Apply(t.ctx, &b, nil), mld.ErrInvalidArgument)
		t.wantKeys(t.s, nil, "b", "d", "e")
	}
}

func testDeleteRange(t *tester) {
	if t.o.NoRangeDeletes {
		t.put("a", "1")
		var b mld.Batch
		b.Put([]byte("b"), []byte("2"))
		b.DeleteRange([]byte("a"), []byte("b"))
		t.wantErr("Apply that removes a range", t.s.Apply(t.ctx, &b, nil), mld.ErrUnsupported)
		t.wantKeys(t.s, nil, "a")
		return
	}
	keys := []string{"a", "b", "c", "c\x00", "d", "\xff", "\xff\xff\xff\xff\xff"}
	for _, test := range []struct {
		name string
		fill func(*mld.Batch)
		want []string
	}{
		{"half open", func(b *mld.Batch) { b.DeleteRange([]byte("b"), []byte("d")) }, []string{"a", "d", keys[5], keys[6]}},
		{"one key", func(b *mld.Batch) { b.DeleteRange([]byte("c"), []byte("c\x00")) }, []string{"a", "b", "c\x00", "d", keys[5], keys[6]}},
		{"whole", func(b *mld.Batch) { b.DeleteRange(nil, nil) }, []string{}},
		{"no upper bound", func(b *mld.Batch) { b.DeleteRange([]byte("c\x00"), nil) }, []string{"a", "b", "c"}},
		{"behind all keys", func(b *mld.Batch) { b.DeleteRange([]byte(keys[6]+"\x00"), nil) }, keys},
		{"no lower bound", func(b *mld.Batch) { b.DeleteRange(nil, []byte("b")) }, keys[1:]},
		{"empty upper bound", func(b *mld.Batch) { b.DeleteRange(nil, []byte{}) }, keys},
		{"equal bounds", func(b *mld.Batch) { b.DeleteRange([]byte("c"), []byte("c")) }, keys},
		{"bounds crossed", func(b *mld.Batch) { b.DeleteRange([]byte("d"), []byte("a")) }, keys},
		{"no keys between", func(b *mld.Batch) { b.DeleteRange([]byte("d\x00"), []byte("e")) }, keys},
		{"put before and after", func(b *mld.Batch) {
			b.Put([]byte("b"), []byte("before"))
			b.Put([]byte("bb"), []byte("before"))
			b.DeleteRange([]byte("a"), []byte("x"))
			b.Put([]byte("b"), []byte("after"))
		}, []string{"b", keys[5], keys[6]}},
		{"puts behind all keys", func(b *mld.Batch) {
			b.Put([]byte(keys[6]+"\xff"), nil)
			b.Put([]byte(keys[6]+"\x00"), nil)
			b.DeleteRange([]byte("d"), nil)
		}, []string{"a", "b", "c", "c\x00"}},
		{"with deletes", func(b *mld.Batch) {
			b.Delete([]byte("a"))
			b.Delete([]byte("c"))
			b.DeleteRange([]byte("c"), []byte("d"))
			b.Delete([]byte("c\x00"))
			b.Delete([]byte("missing"))
		}, []string{"b", "d", keys[5], keys[6]}},
		{"several", func(b *mld.Batch) {
			b.DeleteRange([]byte("a"), []byte("c"))
			b.Put([]byte("b"), []byte("1"))
			b.DeleteRange([]byte("b"), []byte("c"))
			b.Put([]byte("c"), []byte("2"))
			b.DeleteRange([]byte("d"), nil)
			b.Put([]byte("e"), []byte("3"))
		}, []string{"c", "c\x00", "e"}},
	} {
		t.clear(mld.Range{})
		t.putAll(keys...)
		var b mld.Batch
		test.fill(&b)
		t.apply(&b)
		it := t.iterator(t.s, nil)
		if got := t.rest(it); !slices.Equal(got, test.want) {
			t.Fatalf("DeleteRange, %s: leaves %q; want %q", test.name, got, test.want)
		}
		t.closeIterator(it)
		if test.name == "put before and after" {
			t.want(t.s, "b", "after")
		}
	}

	t.clear(mld.Range{})
	t.putAll("a", "b")
	var b mld.Batch
	b.DeleteRange([]byte("a"), nil)
	b.Append(mld.Op{Kind: 99, Key: []byte("a")})
	b.DeleteRange([]byte("a"), []byte("c"))
	t.wantErr("Apply with a range and an operation of kind 99", t.s.Apply(t.ctx, &b, nil), mld.ErrInvalidArgument)
	t.wantKeys(t.s, nil, "a", "b")
}

func testClear(t *tester) {
	keys := []string{"a", "b", "c", "c\x00", "d", "\xff", "\xff\xff\xff\xff\xff"}
	low, c, nothing := []byte("a"), []byte("c"), []byte("0")
	for _, test := range []struct {
		r    mld.Range
		want []string
	}{
		{mld.Range{}, []string{}},
		{mld.Range{Reverse: true}, []string{}},
		{mld.Range{Limit: -1}, []string{}},
		{mld.Range{Limit: 100}, []string{}},
		{mld.Range{GT: []byte{}}, []string{}},
		{mld.Range{LT: []byte{}}, keys},
		{mld.Range{LTE: nothing}, keys},
		{mld.Range{GT: c, LT: c}, keys},
		{mld.Range{GTE: c, LT: low}, keys},
		{mld.Range{GTE: c, LTE: c}, []string{"a", "b", "c\x00", "d", keys[5], keys[6]}},
		{mld.Range{GT: c}, []string{"a", "b", "c"}},
		{mld.Range{GTE: c}, []string{"a", "b"}},
		{mld.Range{LT: c}, []string{"c", "c\x00", "d", keys[5], keys[6]}},
		{mld.Range{LTE: c}, []string{"c\x00", "d", keys[5], keys[6]}},
		{mld.Range{GT: low, GTE: c, LT: []byte("x"), LTE: []byte("d")}, []string{"a", "b", keys[5], keys[6]}},
		{mld.Range{Limit: 2}, []string{"c", "c\x00", "d", keys[5], keys[6]}},
		{mld.Range{Limit: 2, Reverse: true}, []string{"a", "b", "c", "c\x00", "d"}},
		{mld.Range{GT: low, Limit: 1}, []string{"a", "c", "c\x00", "d", keys[5], keys[6]}},
		{mld.Range{LT: []byte("d"), Limit: 2, Reverse: true}, []string{"a", "b", "d", keys[5], keys[6]}},
		{mld.Range{GTE: c, Limit: 50, Reverse: true}, []string{"a", "b"}},
	} {
		t.putAll(keys...)
		t.clear(test.r)
		it := t.iterator(t.s, nil)
		if got := t.rest(it); !slices.Equal(got, test.want) {
			t.Fatalf("Clear(%s) leaves %q; want %q", show(&mld.IterOptions{Range: test.r}), got, test.want)
		}
		t.closeIterator(it)
	}
}
