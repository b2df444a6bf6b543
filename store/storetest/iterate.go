package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/multileveldown/mld"
)

func testIterate(t *tester) {
	t.wantKeys(t.s, nil)
	t.wantKeys(t.s, &mld.IterOptions{Range: mld.Range{Reverse: true}})
	t.putAll("b", "a", "c")

	it := t.iterator(t.s, nil)
	for _, key := range []string{"a", "b", "c"} {
		if !it.Next() || string(it.Key()) != key || string(it.Value()) != "value of "+key {
			t.Fatalf("entry = %q, %q, %v; want %q", it.Key(), it.Value(), it.Err(), key)
		}
	}
	for range 2 {
		if it.Next() {
			t.Fatalf("Next after the end came to %q", it.Key())
		}
	}
	if err := it.Err(); err != nil {
		t.Fatalf("Err at the end: %v", err)
	}
	t.closeIterator(it)
	t.closeIterator(it)

	// One that is left early, and one that was never begun.
	it = t.iterator(t.s, nil)
	it.Next()
	t.closeIterator(it)
	t.closeIterator(t.iterator(t.s, nil))

	// Several at a time do not disturb each other.
	forwards := t.iterator(t.s, nil)
	defer forwards.Close()
	backwards := t.iterator(t.s, &mld.IterOptions{Range: mld.Range{Reverse: true}})
	defer backwards.Close()
	var got []string
	for forwards.Next() && backwards.Next() {
		got = append(got, string(forwards.Key())+string(backwards.Key()))
	}
	if !slices.Equal(got, []string{"ac", "bb", "ca"}) {
		t.Fatalf("two iterators = %q", got)
	}
}

func testIterateBounds(t *tester) {
	t.putAll("a", "b", "c", "d", "e")
	key := func(s string) []byte { return []byte(s) }
	for _, test := range []struct {
		r    mld.Range
		want []string
	}{
		{mld.Range{GT: key("b")}, []string{"c", "d", "e"}},
		{mld.Range{GTE: key("b")}, []string{"b", "c", "d", "e"}},
		{mld.Range{LT: key("b")}, []string{"a"}},
		{mld.Range{LTE: key("b")}, []string{"a", "b"}},
		{mld.Range{GT: key("bb")}, []string{"c", "d", "e"}},
		{mld.Range{LTE: key("bb")}, []string{"a", "b"}},
		{mld.Range{GT: key("b"), GTE: key("b")}, []string{"c", "d", "e"}},
		{mld.Range{GT: key("a"), GTE: key("c")}, []string{"c", "d", "e"}},
		{mld.Range{GT: key("c"), GTE: key("a")}, []string{"d", "e"}},
		{mld.Range{LT: key("c"), LTE: key("c")}, []string{"a", "b"}},
		{mld.Range{LT: key("e"), LTE: key("b")}, []string{"a", "b"}},
		{mld.Range{LT: key("b"), LTE: key("e")}, []string{"a"}},
		{mld.Range{GTE: key("b"), LT: key("d"), Reverse: true}, []string{"c", "b"}},
		{mld.Range{GT: key("b"), GTE: key("b"), Reverse: true, Limit: 2}, []string{"e", "d"}},
		{mld.Range{GT: []byte{}}, []string{"a", "b", "c", "d", "e"}},
		{mld.Range{GTE: []byte{}, Reverse: true, Limit: 1}, []string{"e"}},
		{mld.Range{LT: []byte{}}, []string{}},
		{mld.Range{LTE: []byte{}}, []string{}},
		{mld.Range{LT: []byte{}, Reverse: true}, []string{}},
		{mld.Range{GTE: key("c"), LTE: key("c")}, []string{"c"}},
		{mld.Range{GTE: key("c"), LT: key("c")}, []string{}},
		{mld.Range{GTE: key("d"), LTE: key("b")}, []string{}},
		{mld.Range{GTE: key("d"), LTE: key("b"), Reverse: true}, []string{}},
		{mld.Range{GT: key("x")}, []string{}},
		{mld.Range{LT: key("A"), Reverse: true}, []string{}},
		{mld.Range{Limit: 2}, []string{"a", "b"}},
		{mld.Range{Limit: 2, Reverse: true}, []string{"e", "d"}},
		{mld.Range{Limit: 5}, []string{"a", "b", "c", "d", "e"}},
		{mld.Range{Limit: min(math.MaxInt, 1<<40)}, []string{"a", "b", "c", "d", "e"}},
		{mld.Range{Limit: -1}, []string{"a", "b", "c", "d", "e"}},
	} {
		t.wantKeys(t.s, &mld.IterOptions{Range: test.r}, test.want...)
	}
}

func testIterateKeysOrValues(t *tester) {
	t.putAll("a", "b", "c")
	for _, r := range []mld.Range{{}, {Reverse: true}, {GT: []byte("a"), Limit: 1}} {
		entries := t.collect(t.s, &mld.IterOptions{Range: r})
		keys := t.iterator(t.s, &mld.IterOptions{Range: r, KeysOnly: true})
		values := t.iterator(t.s, &mld.IterOptions{Range: r, ValuesOnly: true})
		for _, e := range entries {
			if !keys.Next() || string(keys.Key()) != string(e.Key) || keys.Value() != nil {
				t.Fatalf("keys only: %q, %q, %v; want %q and nil", keys.Key(), keys.Value(), keys.Err(), e.Key)
			}
			if !values.Next() || string(values.Value()) != string(e.Value) || values.Key() != nil {
				t.Fatalf("values only: %q, %q, %v; want nil and %q", values.Key(), values.Value(), values.Err(), e.Value)
			}
		}
		if keys.Next() || values.Next() {
			t.Fatalf("keys only or values only goes on past the end of %s", show(&mld.IterOptions{Range: r}))
		}
		t.closeIterator(keys)
		t.closeIterator(values)
	}

	values := t.iterator(t.s, &mld.IterOptions{ValuesOnly: true})
	defer values.Close()
	values.Seek([]byte("b"))
	if !values.Next() || string(values.Value()) != "value of b" || values.Key() != nil {
		t.Fatalf("values only after a seek: %q, %q, %v", values.Key(), values.Value(), values.Err())
	}
}

func testIterateSeek(t *tester) {
	t.putAll("b", "d", "f", "h", "j")
	// Each step seeks, unless target is "-", and takes up to n entries.
	type step struct {
		target string
		n      int
		want   []string
	}
	for _, test := range []struct {
		name  string
		r     mld.Range
		steps []step
	}{
		{"forwards", mld.Range{}, []step{
			{"d", 2, []string{"d", "f"}},
			{"i", 9, []string{"j"}},
			{"k", 1, []string{}},
			{"-", 1, []string{}},
			{"a", 2, []string{"b", "d"}},
			{"", 1, []string{"b"}},
			{"b", 9, []string{"b", "d", "f", "h", "j"}},
		}},
		{"reverse", mld.Range{Reverse: true}, []step{
			{"h", 2, []string{"h", "f"}},
			{"c", 9, []string{"b"}},
			{"a", 1, []string{}},
			{"-", 1, []string{}},
			{"z", 2, []string{"j", "h"}},
			{"", 1, []string{}},
			{"g", 9, []string{"f", "d", "b"}},
		}},
		{"bounded", mld.Range{GT: []byte("b"), LTE: []byte("h")}, []step{
			{"b", 9, []string{}},
			{"c", 1, []string{"d"}},
			{"a", 9, []string{}},
			{"h", 9, []string{"h"}},
			{"h\x00", 9, []string{}},
			{"", 9, []string{}},
			{"d", 9, []string{"d", "f", "h"}},
		}},
		{"bounded reverse", mld.Range{GTE: []byte("d"), LT: []byte("j"), Reverse: true}, []step{
			{"j", 9, []string{}},
			{"i", 1, []string{"h"}},
			{"k", 9, []string{}},
			{"d", 9, []string{"d"}},
			{"c", 9, []string{}},
			{"h", 9, []string{"h", "f", "d"}},
		}},
		{"limit", mld.Range{Limit: 4}, []step{
			{"-", 2, []string{"b", "d"}},
			{"b", 1, []string{"b"}},
			{"k", 1, []string{}},
			{"h", 9, []string{"h"}},
			{"b", 9, []string{}},
		}},
		{"two seeks", mld.Range{}, []step{
			{"h", 0, []string{}},
			{"d", 1, []string{"d"}},
		}},
	} {
		it := t.iterator(t.s, &mld.IterOptions{Range: test.r})
		for i, step := range test.steps {
			switch step.target {
			case "-":
			case "":
				it.Seek(nil) // the same as an empty target
			default:
				it.Seek([]byte(step.target))
			}
			got := []string{}
			for len(got) < step.n && it.Next() {
				got = append(got, string(it.Key()))
				if string(it.Value()) != "value of "+string(it.Key()) {
					t.Fatalf("%s: the value of %q is %q", test.name, it.Key(), it.Value())
				}
			}
			if !slices.Equal(got, step.want) {
				t.Fatalf("%s: step %d, seek %q = %q, %v; want %q", test.name, i, step.target, got, it.Err(), step.want)
			}
		}
		t.closeIterator(it)
	}
}

// testIterateState changes the store after iterators were made, and looks that
// they do not see it.
func testIterateState(t *tester) {
	t.putAll("a", "c", "e")
	var its []mld.Iterator
	for _, o := range []*mld.IterOptions{nil, {}, {Range: mld.Range{GTE: []byte("a"), LTE: []byte("e")}}} {
		its = append(its, t.iterator(t.s, o))
	}
	reverse := t.iterator(t.s, &mld.IterOptions{Range: mld.Range{Reverse: true}})
	begun := t.iterator(t.s, nil)
	begun.Next()
	sought := t.iterator(t.s, nil)

	t.put("b", "new")
	t.put("c", "changed")
	t.delete("e")
	t.clear(mld.Range{LTE: []byte("a")})
	t.wantKeys(t.s, nil, "b", "c")

	for i, it := range its {
		for _, key := range []string{"a", "c", "e"} {
			if !it.Next() || string(it.Key()) != key || string(it.Value()) != "value of "+key {
				t.Fatalf("iterator %d: %q, %q, %v; want %q", i, it.Key(), it.Value(), it.Err(), key)
			}
		}
		if it.Next() {
			t.Fatalf("iterator %d sees %q", i, it.Key())
		}
		t.closeIterator(it)
	}
	if got := t.rest(reverse); !slices.Equal(got, []string{"e", "c", "a"}) {
		t.Fatalf("in reverse: %q", got)
	}
	t.closeIterator(reverse)
	if got := t.rest(begun); !slices.Equal(got, []string{"c", "e"}) {
		t.Fatalf("the rest of an iterator: %q", got)
	}
	t.closeIterator(begun)

	sought.Seek([]byte("b"))
	got := t.rest(sought)
	then, now := []string{"c", "e"}, []string{"b", "c"}
	if !slices.Equal(got, then) && !(t.o.SeekTakesNewSnapshot && slices.Equal(got, now)) {
		t.Fatalf("after a seek: %q; want %q", got, then)
	}
	t.closeIterator(sought)
}

func testIterateInvalid(t *tester) {
	t.put("a", "1")
	readers := []mld.Reader{t.s}
	if snap := t.snapshot(); snap != nil {
		defer snap.Close()
		readers = append(readers, snap)
	}
	for _, r := range readers {
		it, err := r.NewIterator(t.ctx, &mld.IterOptions{KeysOnly: true, ValuesOnly: true})
		if err == nil {
			it.Close()
		}
		t.wantErr("NewIterator with KeysOnly and ValuesOnly", err, mld.ErrInvalidArgument)
	}
}

func testIterateCancel(t *tester) {
	t.putAll("a", "b", "c")
	cause := errors.New("the test's own reason")
	for name, move := range map[string]func(mld.Iterator){
		"before the first entry": func(mld.Iterator) {},
		"after the first entry":  func(it mld.Iterator) { it.Next() },
	} {
		ctx, cancel := context.WithCancelCause(t.ctx)
		it, err := t.s.NewIterator(ctx, nil)
		if err != nil {
			t.Fatalf("NewIterator: %v", err)
		}
		move(it)
		cancel(cause)
		if it.Next() {
			t.Fatalf("%s: Next after the context was cancelled came to %q", name, it.Key())
		}
		t.wantErr(name+": Err", it.Err(), context.Canceled)
		it.Seek([]byte("a"))
		if it.Next() {
			t.Fatalf("%s: a seek revived an iterator whose context was cancelled", name)
		}
		t.wantErr(name+": Close", it.Close(), context.Canceled)
	}
	t.wantKeys(t.s, nil, "a", "b", "c")
}

func testIterateClosed(t *tester) {
	t.putAll("a", "b")
	it := t.iterator(t.s, nil)
	it.Next()
	t.closeIterator(it)
	if err := it.Err(); err != nil {
		t.Fatalf("Err after Close: %v", err)
	}
	it.Seek([]byte("a"))
	if it.Next() {
		t.Fatal("a closed iterator goes on")
	}
	t.wantErr("Err after Next on a closed iterator", it.Err(), mld.ErrClosed)
}

func testAllAndCollect(t *tester) {
	var want []mld.Entry
	for i := range 10 {
		key, value := fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i)
		t.put(key, value)
		want = append(want, mld.Entry{Key: []byte(key), Value: []byte(value)})
	}
	if got := t.collect(t.s, nil); !equalEntries(got, want) {
		t.Fatalf("Collect = %q; want %q", got, want)
	}
	n := 0
	seq := mld.All(t.ctx, t.s, &mld.IterOptions{Range: mld.Range{GTE: []byte("key3")}})
	for range 2 { // a sequence can be walked again
		n = 0
		for e, err := range seq {
			if err != nil || string(e.Key) != string(want[3+n].Key) || string(e.Value) != string(want[3+n].Value) {
				t.Fatalf("All: %q, %v; want %q", e, err, want[3+n])
			}
			if n++; n == 4 {
				break
			}
		}
		if n != 4 {
			t.Fatalf("All ended after %d entries", n)
		}
	}
}
