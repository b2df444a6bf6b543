package view_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/namespace"
	"github.com/multileveldown/mld/view"
)

type user struct {
	Age  int    `json:"age"`
	Name string `json:"name"`
}

func newStore(t testing.TB) mld.Store {
	t.Helper()
	s := memstore.New()
	t.Cleanup(func() { s.Close() })
	return s
}

// raw lists a store as key=value, quoted.
func raw(t *testing.T, r mld.Reader) []string {
	t.Helper()
	entries, err := mld.Collect(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%q=%q", e.Key, e.Value))
	}
	return list
}

// collect returns what a sequence yields; its error must be the last thing.
func collect[T any](t *testing.T, seq iter.Seq2[T, error]) ([]T, error) {
	t.Helper()
	list := []T{}
	var last error
	for v, err := range seq {
		if last != nil {
			t.Fatal("the sequence goes on after an error")
		}
		if last = err; err == nil {
			list = append(list, v)
		}
	}
	return list, last
}

func mustCollect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	list, err := collect(t, seq)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestView(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	users := view.New(store, view.UTF8, view.JSON[user]())
	ann, bob := user{42, "Ann <a&b>"}, user{7, "Bob"}

	must(t, users.Put(ctx, "ann", ann, nil))
	must(t, users.Put(ctx, "bob", bob, mld.Sync))
	must(t, users.Put(ctx, "gone", bob, nil))
	must(t, users.Delete(ctx, "gone", nil))
	equal(t, "store", raw(t, store), []string{
		`"ann"="{\"age\":42,\"name\":\"Ann <a&b>\"}"`, `"bob"="{\"age\":7,\"name\":\"Bob\"}"`,
	})

	got, err := users.Get(ctx, "ann")
	must(t, err)
	equal(t, "Get", got, ann)
	if _, err := users.Get(ctx, "gone"); !errors.Is(err, mld.ErrNotFound) {
		t.Errorf("Get of a missing key: %v", err)
	}
	many, err := users.GetMany(ctx, "bob", "gone", "ann")
	must(t, err)
	equal(t, "GetMany", many, []*user{&bob, nil, &ann})
	for key, want := range map[string]bool{"ann": true, "gone": false, "": false} {
		has, err := users.Has(ctx, key)
		must(t, err)
		equal(t, "Has "+key, has, want)
	}

	equal(t, "All", mustCollect(t, users.All(ctx, nil)), []view.Entry[string, user]{{"ann", ann}, {"bob", bob}})
	equal(t, "Keys", mustCollect(t, users.Keys(ctx, nil)), []string{"ann", "bob"})
	equal(t, "Values", mustCollect(t, users.Values(ctx, nil)), []user{ann, bob})
	for range users.All(ctx, nil) {
		break
	}
	for range users.Keys(ctx, nil) {
		break
	}
	for range users.Values(ctx, nil) {
		break
	}

	equal(t, "WithValue", mustCollect(t, view.WithValue(users, view.UTF8).Values(ctx, view.Before("b"))),
		[]string{`{"age":42,"name":"Ann <a&b>"}`})
	equal(t, "WithKey", mustCollect(t, view.WithKey(users, view.Hex).Keys(ctx, view.After("616e6e"))),
		[]string{"626f62"})
}

func TestViewOfClosedStore(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	v := view.New(store, view.UTF8, view.UTF8)
	must(t, store.Close())
	_, err1 := v.Get(ctx, "k")
	_, err2 := v.GetMany(ctx, "k")
	_, err3 := v.Has(ctx, "k")
	_, err4 := v.NewIterator(ctx, nil)
	_, err5 := collect(t, v.All(ctx, nil))
	_, err6 := collect(t, v.Values(ctx, nil))
	_, err7 := v.Snapshot(ctx)
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, v.Put(ctx, "k", "", nil)} {
		if !errors.Is(err, mld.ErrClosed) {
			t.Errorf("call %d: %v, want closed", i+1, err)
		}
	}
}

func TestRange(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	db := view.New(store, view.UTF8, view.None)
	sub := view.Sub(db, "s", view.UTF8, view.None)
	for _, v := range []view.View[string, struct{}]{db, view.Sub(db, "r", view.UTF8, view.None), sub, view.Sub(db, "t", view.UTF8, view.None)} {
		for _, k := range []string{"", "a", "ab", "abc", "b", "\xff", "\xff\xff", "\xff\xffz"} {
			must(t, v.Put(ctx, k, struct{}{}, nil))
		}
	}
	type r = view.Range[string]
	for _, test := range []struct {
		name string
		r    *r
		want string
	}{
		{"nil", nil, ` a ab abc b ÿ ÿÿ ÿÿz`},
		{"zero", &r{}, ` a ab abc b ÿ ÿÿ ÿÿz`},
		{"backward", (&r{}).Backward(), `ÿÿz ÿÿ ÿ b abc ab a `},
		{"first", (&r{}).First(2), ` a`},
		{"from", view.From("ab"), `ab abc b ÿ ÿÿ ÿÿz`},
		{"from empty", view.From("").First(1), ``},
		{"after", view.After("ab"), `abc b ÿ ÿÿ ÿÿz`},
		{"after empty", view.After("").First(1), `a`},
		{"before", view.Before("ab"), ` a`},
		{"before, last one", view.Before("ab").Backward().First(1), `a`},
		{"before empty", view.Before(""), `-`},
		{"between", view.Between("a", "b"), `a ab abc`},
		{"between the wrong way round", view.Between("b", "a"), `-`},
		{"literal", &r{GT: new("a"), LTE: new("b")}, `ab abc b`},
		{"prefix", view.Prefix("ab"), `ab abc`},
		{"prefix backward", view.Prefix("ab").Backward(), `abc ab`},
		{"prefix empty", view.Prefix(""), ` a ab abc b ÿ ÿÿ ÿÿz`},
		{"prefix without a successor", view.Prefix("\xff"), `ÿ ÿÿ ÿÿz`},
		{"prefix and bounds within", &r{Prefix: new("a"), GT: new("a"), LTE: new("ab")}, `ab`},
		{"prefix and bounds beyond", &r{Prefix: new("ab"), GTE: new("a"), LT: new("b")}, `ab abc`},
		{"prefix and a bound far beyond", &r{Prefix: new("a"), LT: new("\xff")}, `a ab abc`},
		{"prefix and bounds apart", &r{Prefix: new("ab"), GTE: new("b")}, `-`},
	} {
		t.Run(test.name, func(t *testing.T) {
			keys := mustCollect(t, sub.Keys(ctx, test.r))
			got := strings.ReplaceAll(strings.Join(keys, " "), "\xff", "ÿ")
			if len(keys) == 0 {
				got = "-"
			}
			equal(t, "keys", got, test.want)

			// A clear removes just these.
			other := newStore(t)
			copyStore(t, other, store)
			rest := view.Sub(view.New(other, view.UTF8, view.None), "s", view.UTF8, view.None)
			must(t, rest.Clear(ctx, test.r, nil))
			equal(t, "removed by Clear", len(raw(t, store))-len(raw(t, other)), len(keys))
			for _, k := range keys {
				if has, err := rest.Has(ctx, k); has || err != nil {
					t.Errorf("%q after Clear: %v, %v", k, has, err)
				}
			}
		})
	}
}

func copyStore(t *testing.T, to, from mld.Store) {
	t.Helper()
	for e, err := range mld.All(t.Context(), from, nil) {
		must(t, err)
		must(t, to.Put(t.Context(), e.Key, e.Value, nil))
	}
}

func TestRangeMethodsCopy(t *testing.T) {
	r := view.From("a")
	r.Backward().First(3)
	equal(t, "range", *r, view.Range[string]{GTE: r.GTE})
}

func TestPrefixNeedsPrefixCodec(t *testing.T) {
	ctx := t.Context()
	v := view.New(newStore(t), view.Uint64, view.UTF8)
	_, err := collect(t, v.All(ctx, view.Prefix(uint64(1))))
	if !errors.Is(err, mld.ErrInvalidArgument) {
		t.Errorf("Prefix of a number: %v", err)
	}

	type name string
	names := view.Map(view.UTF8,
		func(n name) (string, error) { return string(n), nil },
		func(s string) (name, error) { return name(s), nil })
	w := view.WithKey(v, names)
	must(t, w.Put(ctx, "abc", "", nil))
	equal(t, "mapped", mustCollect(t, w.Keys(ctx, view.Prefix[name]("a"))), []name{"abc"})
}

// even is a codec of even numbers.
var even = view.Map(view.Uint64,
	func(v int) (uint64, error) {
		if v%2 != 0 {
			return 0, errors.New("odd")
		}
		return uint64(v), nil
	},
	func(u uint64) (int, error) {
		if u%2 != 0 {
			return 0, errors.New("odd")
		}
		return int(u), nil
	})

func TestMap(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	v := view.New(store, even, view.UTF8)
	must(t, v.Put(ctx, 4, "four", nil))
	if err := v.Put(ctx, 5, "five", nil); !errors.Is(err, mld.ErrInvalidArgument) {
		t.Errorf("Put of a key that cannot be mapped: %v", err)
	}
	must(t, view.WithKey(v, view.Uint64).Put(ctx, 5, "five", nil))
	must(t, view.WithKey(v, view.UTF8).Put(ctx, "long enough", "", nil))
	keys, err := collect(t, v.Keys(ctx, nil))
	equal(t, "keys before the odd one", keys, []int{4})
	if !errors.Is(err, view.ErrDecode) {
		t.Errorf("a key that cannot be mapped back: %v", err)
	}
	if _, err := collect(t, v.Keys(ctx, view.After(6))); !errors.Is(err, view.ErrDecode) {
		t.Errorf("a key that is no number: %v", err)
	}
}

func TestIterator(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	numbers := view.Sub(view.New(store, view.Bytes, view.Bytes), "n", view.Int64, view.UTF8)
	for i := int64(-3); i <= 3; i++ {
		must(t, numbers.Put(ctx, i, fmt.Sprint(i), nil))
	}
	it, err := numbers.NewIterator(ctx, view.Between(int64(-2), 3))
	must(t, err)
	defer it.Close()
	next := func(want int64) {
		t.Helper()
		if !it.Next() || it.Key() != want || it.Value() != fmt.Sprint(want) {
			t.Fatalf("at %d %q, want %d; %v", it.Key(), it.Value(), want, it.Err())
		}
	}
	next(-2)
	it.Seek(1)
	next(1)
	it.Seek(-1)
	next(-1)
	it.Seek(3)
	if it.Next() || it.Err() != nil {
		t.Fatalf("an entry outside the range: %d, %v", it.Key(), it.Err())
	}
	it.Seek(2)
	next(2)
	must(t, it.Close())
	must(t, it.Close())
}

func TestDecodeErrors(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	sub := view.Sub(view.New(store, view.UTF8, view.UTF8), "s", view.Uint64, view.JSON[int]())
	text := view.WithValue(sub, view.UTF8)
	must(t, sub.Put(ctx, 1, 1, nil))
	must(t, text.Put(ctx, 2, "two", nil))
	must(t, sub.Put(ctx, 3, 3, nil))
	must(t, view.WithKey(text, view.UTF8).Put(ctx, "four", "4", nil)) // sorts last

	badValue := `"!s!\x00\x00\x00\x00\x00\x00\x00\x02"`
	check := func(what string, err error, key string) {
		t.Helper()
		if !errors.Is(err, view.ErrDecode) || !errors.Is(err, mld.ErrCorruption) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want a decode error at %s", what, err, key)
		}
	}
	_, err := sub.Get(ctx, 2)
	check("Get", err, badValue)
	_, err = sub.GetMany(ctx, 1, 2)
	check("GetMany", err, badValue)
	entries, err := collect(t, sub.All(ctx, nil))
	check("All", err, badValue)
	equal(t, "entries before the error", entries, []view.Entry[uint64, int]{{1, 1}})
	values, err := collect(t, sub.Values(ctx, nil))
	check("Values", err, badValue)
	equal(t, "values before the error", values, []int{1})
	keys, err := collect(t, sub.Keys(ctx, nil))
	check("Keys", err, `"!s!four"`)
	equal(t, "keys before the error", keys, []uint64{1, 2, 3})

	it, err := sub.NewIterator(ctx, nil)
	must(t, err)
	for it.Next() {
	}
	check("Iterator", it.Err(), badValue)
	if it.Next() {
		t.Error("Next goes on after an entry that cannot be decoded")
	}
	it.Seek(3)
	if !it.Next() || it.Key() != 3 {
		t.Errorf("Seek past the entry: %v", it.Err())
	}
	if it.Next() {
		t.Error("a key that cannot be decoded")
	}
	check("Close", it.Close(), `"!s!four"`)
}

func TestEncodeErrors(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	v := view.New(store, view.Hex, view.JSON[any]())
	it, err := v.NewIterator(ctx, nil)
	must(t, err)
	it.Seek("x")
	_, err1 := v.Get(ctx, "x")
	_, err2 := v.GetMany(ctx, "", "x")
	_, err3 := v.Has(ctx, "x")
	_, err4 := collect(t, v.All(ctx, view.From("x")))
	_, err5 := collect(t, v.Values(ctx, view.Prefix("x")))
	for i, err := range []error{
		err1, err2, err3, err4, err5, it.Err(), it.Close(),
		v.Put(ctx, "x", 1, nil), v.Put(ctx, "aa", func() {}, nil), v.Delete(ctx, "x", nil),
		v.Clear(ctx, view.Before("x"), nil),
	} {
		if !errors.Is(err, mld.ErrInvalidArgument) {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
	equal(t, "store", raw(t, store), []string{})
}

// stray is a reader whose iterators do not keep to the range.
type stray struct{ mld.Reader }

func (s stray) NewIterator(ctx context.Context, _ *mld.IterOptions) (mld.Iterator, error) {
	return s.Reader.NewIterator(ctx, nil)
}

func TestStrayKey(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	db := view.New(store, view.UTF8, view.UTF8)
	must(t, db.Put(ctx, "x", "", nil))
	sub := view.Sub(db, "long-name", view.UTF8, view.UTF8)
	_, err := collect(t, sub.At(stray{store}).All(ctx, nil))
	if !errors.Is(err, view.ErrDecode) {
		t.Errorf("a key outside the sublevel: %v", err)
	}
}

func TestSub(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	db := view.New(store, view.UTF8, view.UTF8)
	a := view.Sub(db, "a", view.UTF8, view.UTF8)
	ab := view.Sub(a, "b", view.Uint64, view.None)
	must(t, db.Put(ctx, "k", "0", nil))
	must(t, a.Put(ctx, "k", "1", nil))
	must(t, ab.Put(ctx, 2, struct{}{}, nil))
	equal(t, "store", raw(t, store), []string{`"!a!!b!\x00\x00\x00\x00\x00\x00\x00\x02"=""`, `"!a!k"="1"`, `"k"="0"`})
	equal(t, "keys of a", mustCollect(t, a.Keys(ctx, view.From("a"))), []string{"k"})
	equal(t, "keys of a!b", mustCollect(t, ab.Keys(ctx, nil)), []uint64{2})

	must(t, ab.Clear(ctx, nil, nil))
	equal(t, "store", raw(t, store), []string{`"!a!k"="1"`, `"k"="0"`})
}

func TestSubPrefix(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	prefix, err := namespace.Subleveldown("é")
	must(t, err)
	old := view.SubPrefix(view.New(store, view.UTF8, view.UTF8), prefix, view.UTF8, view.UTF8)
	must(t, view.Sub(old, "inner", view.UTF8, view.UTF8).Put(ctx, "k", "v", nil))
	equal(t, "store", raw(t, store), []string{`"!é!!inner!k"="v"`})
	equal(t, "keys", mustCollect(t, old.Keys(ctx, view.Before("\xff"))), []string{"!inner!k"})

	// A namespace has the same entries.
	part := view.New[string, string](namespace.New(store, prefix), view.UTF8, view.UTF8)
	equal(t, "keys in the namespace", mustCollect(t, part.Keys(ctx, nil)), []string{"!inner!k"})
}

func TestSubName(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	db := view.New(store, view.UTF8, view.UTF8)
	for _, name := range []string{"a!b", "a b", `"`, "é", "\x7f", "a\x00"} {
		v := view.Sub(view.Sub(db, name, view.UTF8, view.UTF8), "inner", view.UTF8, view.UTF8)
		var b view.Batch
		v.DeleteIn(&b, "k")
		_, err1 := v.Get(ctx, "k")
		_, err2 := v.GetMany(ctx)
		_, err3 := collect(t, v.All(ctx, nil))
		_, err4 := v.Snapshot(ctx)
		_, err5 := collect(t, v.Keys(ctx, nil))
		for i, err := range []error{err1, err2, err3, err4, err5, v.Put(ctx, "k", "", nil), v.Clear(ctx, nil, nil), b.Apply(ctx, nil)} {
			if !errors.Is(err, mld.ErrInvalidArgument) {
				t.Errorf("%q, call %d: %v", name, i+1, err)
			}
		}
	}
	equal(t, "store", raw(t, store), []string{})
}

func TestBatch(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	db := view.New(store, view.UTF8, view.UTF8)
	users := view.Sub(db, "users", view.UTF8, view.JSON[user]())
	ages := view.Sub(users, "ages", view.Int64, view.UTF8)
	must(t, db.Put(ctx, "old", "", nil))

	var b view.Batch
	must(t, b.Apply(ctx, nil))
	key := []byte("ann")
	view.WithKey(users, view.Bytes).PutIn(&b, key, user{42, "Ann"})
	clear(key) // the batch has a copy
	ages.PutIn(&b, 42, "ann")
	db.DeleteIn(&b, "old")
	equal(t, "Len", b.Len(), 3)
	equal(t, "Size", b.Size(), len("!users!ann")+len(`{"age":42,"name":"Ann"}`)+len("!users!!ages!12345678")+len("ann")+len("old"))
	equal(t, "store before Apply", raw(t, store), []string{`"old"=""`})
	must(t, b.Apply(ctx, mld.Sync))
	want := []string{
		`"!users!!ages!\x80\x00\x00\x00\x00\x00\x00*"="ann"`, `"!users!ann"="{\"age\":42,\"name\":\"Ann\"}"`,
	}
	equal(t, "store", raw(t, store), want)

	t.Run("error", func(t *testing.T) {
		b.Reset()
		db.PutIn(&b, "new", "")
		view.WithKey(db, view.Hex).PutIn(&b, "x", "")
		db.PutIn(&b, "newer", "")
		if err := b.Apply(ctx, nil); !errors.Is(err, mld.ErrInvalidArgument) {
			t.Errorf("Apply: %v", err)
		}
		equal(t, "store", raw(t, store), want)
	})
	t.Run("other store", func(t *testing.T) {
		b.Reset()
		other := view.New(newStore(t), view.UTF8, view.UTF8)
		other.DeleteIn(&b, "k")
		db.PutIn(&b, "new", "")
		if err := b.Apply(ctx, nil); !errors.Is(err, mld.ErrInvalidArgument) {
			t.Errorf("Apply: %v", err)
		}
		equal(t, "store", raw(t, store), want)
	})
	t.Run("store that cannot be compared", func(t *testing.T) {
		type odd struct {
			mld.Store
			_ []int
		}
		b.Reset()
		v := view.New[string, string](odd{Store: store}, view.UTF8, view.UTF8)
		v.DeleteIn(&b, "a")
		v.DeleteIn(&b, "b")
		if err := b.Apply(ctx, nil); !errors.Is(err, mld.ErrInvalidArgument) {
			t.Errorf("Apply: %v", err)
		}
	})
}

func TestSnapshot(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	db := view.New(store, view.UTF8, view.UTF8)
	sub := view.Sub(db, "s", view.UTF8, view.UTF8)
	must(t, sub.Put(ctx, "k", "old", nil))
	must(t, db.Put(ctx, "k", "old", nil))

	s, err := sub.Snapshot(ctx)
	must(t, err)
	shared, err := store.NewSnapshot(ctx)
	must(t, err)
	must(t, sub.Put(ctx, "k", "new", nil))
	must(t, sub.Put(ctx, "l", "new", nil))
	must(t, db.Put(ctx, "k", "new", nil))

	equal(t, "snapshot", mustCollect(t, s.All(ctx, nil)), []view.Entry[string, string]{{"k", "old"}})
	v1, err := sub.At(shared).Get(ctx, "k")
	must(t, err)
	v2, err := db.At(shared).Get(ctx, "k")
	must(t, err)
	equal(t, "values at the shared snapshot", []string{v1, v2}, []string{"old", "old"})
	equal(t, "view", mustCollect(t, sub.Values(ctx, nil)), []string{"new", "new"})
	must(t, s.Close())
	must(t, shared.Close())
	if _, err := s.Get(ctx, "k"); !errors.Is(err, mld.ErrClosed) {
		t.Errorf("Get of a closed snapshot: %v", err)
	}
}

// pinning lends its values and scribbles over what it lent when it is given back.
type pinning struct {
	mld.Store
	lent int
}

type loan struct {
	of    *pinning
	value []byte
}

func (l loan) Close() error {
	l.of.lent--
	for i := range l.value {
		l.value[i] = '?'
	}
	return nil
}

func (p *pinning) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	value, err := p.Store.Get(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	p.lent++
	return value, loan{p, value}, nil
}

func TestValuesAreTheCallers(t *testing.T) {
	ctx := t.Context()
	p := &pinning{Store: newStore(t)}
	raws := view.New[[]byte, []byte](p, view.Bytes, view.Bytes)
	for _, k := range []string{"a", "b", "c"} {
		must(t, raws.Put(ctx, []byte(k), []byte("value "+k), nil))
	}
	got, err := raws.Get(ctx, []byte("a"))
	must(t, err)
	equal(t, "value", string(got), "value a")
	_, err = raws.Has(ctx, []byte("a"))
	must(t, err)
	equal(t, "values not given back", p.lent, 0)

	entries := mustCollect(t, raws.All(ctx, nil))
	for i := range entries {
		entries[i].Key[0], entries[i].Value[0] = 'X', 'X'
	}
	slices.SortFunc(entries, func(a, b view.Entry[[]byte, []byte]) int { return bytes.Compare(a.Value, b.Value) })
	equal(t, "entries after the walk", fmt.Sprintf("%s", entries), "[{X Xalue a} {X Xalue b} {X Xalue c}]")
	equal(t, "store", raw(t, p), []string{`"a"="value a"`, `"b"="value b"`, `"c"="value c"`})
}
