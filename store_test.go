package mld_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
)

// abc returns a store with the entries a=1, b=2 and c=3.
func abc(t *testing.T) mld.Store {
	t.Helper()
	s := memstore.New()
	t.Cleanup(func() { s.Close() })
	var b mld.Batch
	b.Put([]byte("a"), []byte("1"))
	b.Put([]byte("b"), []byte("2"))
	b.Put([]byte("c"), []byte("3"))
	if err := s.Apply(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func entries(pairs ...string) []mld.Entry {
	var list []mld.Entry
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, mld.Entry{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return list
}

func TestCollect(t *testing.T) {
	s := abc(t)
	for _, c := range []struct {
		o    *mld.IterOptions
		want []mld.Entry
	}{
		{nil, entries("a", "1", "b", "2", "c", "3")},
		{&mld.IterOptions{Range: mld.Range{GT: []byte("a"), Reverse: true}}, entries("c", "3", "b", "2")},
		{&mld.IterOptions{Range: mld.Range{Limit: 1}}, entries("a", "1")},
		{&mld.IterOptions{Range: mld.Range{LT: []byte("a")}}, nil},
		{&mld.IterOptions{KeysOnly: true, Range: mld.Range{Limit: 1}}, []mld.Entry{{Key: []byte("a")}}},
		{&mld.IterOptions{ValuesOnly: true, Range: mld.Range{Limit: 1}}, []mld.Entry{{Value: []byte("1")}}},
	} {
		if got, err := mld.Collect(t.Context(), s, c.o); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %q, %v; want %q", c.o, got, err, c.want)
		}
	}
	if _, err := mld.Collect(t.Context(), s, &mld.IterOptions{KeysOnly: true, ValuesOnly: true}); !errors.Is(err, mld.ErrInvalidArgument) {
		t.Error(err)
	}
}

// A failing reader has an iterator that brings two entries, in a buffer that it
// uses again, and then an error.
type failing struct {
	mld.Reader
	opened, closed int
}

var errBroken = errors.New("broken")

func (f *failing) NewIterator(context.Context, *mld.IterOptions) (mld.Iterator, error) {
	f.opened++
	return &failingIterator{f: f}, nil
}

type failingIterator struct {
	mld.Iterator
	f   *failing
	n   int
	buf [1]byte
}

func (it *failingIterator) Next() bool {
	it.n++
	it.buf[0] = byte('0' + it.n)
	return it.n <= 2
}

func (it *failingIterator) Key() []byte   { return it.buf[:] }
func (it *failingIterator) Value() []byte { return it.buf[:] }
func (it *failingIterator) Err() error    { return errBroken }
func (it *failingIterator) Close() error  { it.f.closed++; return errBroken }

func TestAll(t *testing.T) {
	f := &failing{}
	got, err := mld.Collect(t.Context(), f, nil)
	if err != errBroken || !reflect.DeepEqual(got, entries("1", "1", "2", "2")) {
		t.Errorf("%q, %v", got, err)
	}
	// The error is yielded once, last, with an empty entry; the sequence can be
	// used again, and left early without one.
	all := mld.All(t.Context(), f, nil)
	for range 2 {
		var errs []error
		for e, err := range all {
			if errs = append(errs, err); err != nil && (e.Key != nil || e.Value != nil) {
				t.Errorf("an error with %q", e)
			}
		}
		if !reflect.DeepEqual(errs, []error{nil, nil, errBroken}) {
			t.Errorf("%v", errs)
		}
	}
	for _, err := range all {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if f.opened != 4 || f.closed != 4 {
		t.Errorf("%d iterators were opened and %d closed", f.opened, f.closed)
	}

	s := abc(t)
	s.Close()
	n := 0
	for _, err := range mld.All(t.Context(), s, nil) {
		if n++; !errors.Is(err, mld.ErrClosed) {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d entries of a store that is closed", n)
	}
}

// plain hides what a store can do beyond the contract.
type plain struct{ mld.Store }

// A lender can lend values.
type lender struct {
	mld.Store
	lent int
}

func (l *lender) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	value, err := l.Get(ctx, key)
	return value, closer(func() error { l.lent--; return nil }), err
}

func (l *lender) GetEach(ctx context.Context, keys [][]byte, f func(int, []byte) error) error {
	l.lent++
	defer func() { l.lent-- }()
	return mld.GetEach(ctx, plain{l.Store}, keys, f)
}

type closer func() error

func (c closer) Close() error { return c() }

func TestGetPinned(t *testing.T) {
	s := abc(t)
	value, c, err := mld.GetPinned(t.Context(), plain{s}, []byte("a"))
	if string(value) != "1" || c != nil || err != nil {
		t.Errorf("%q, %v, %v", value, c, err)
	}
	if _, _, err := mld.GetPinned(t.Context(), plain{s}, []byte("x")); !errors.Is(err, mld.ErrNotFound) {
		t.Error(err)
	}
	l := &lender{Store: s, lent: 1}
	value, c, err = mld.GetPinned(t.Context(), l, []byte("a"))
	if string(value) != "1" || c == nil || err != nil {
		t.Fatalf("%q, %v, %v", value, c, err)
	}
	if c.Close(); l.lent != 0 {
		t.Error("the store's own GetPinned was not called")
	}
}

func TestGetEach(t *testing.T) {
	s := abc(t)
	keys := [][]byte{[]byte("c"), []byte("x"), []byte("a")}
	l := &lender{Store: s}
	for _, r := range []mld.Reader{plain{s}, l} {
		var got [][]byte
		if err := mld.GetEach(t.Context(), r, keys, func(i int, value []byte) error {
			if i != len(got) || l.lent != 0 != (r == mld.Reader(l)) {
				t.Errorf("value %d comes as number %d, lent %d", i, len(got), l.lent)
			}
			got = append(got, bytes.Clone(value))
			return nil
		}); err != nil || !reflect.DeepEqual(got, [][]byte{[]byte("3"), nil, []byte("1")}) {
			t.Errorf("%q, %v", got, err)
		}
		n := 0
		if err := mld.GetEach(t.Context(), r, keys, func(int, []byte) error { n++; return errBroken }); err != errBroken || n != 1 {
			t.Errorf("%v after %d values", err, n)
		}
	}
	s.Close()
	if err := mld.GetEach(t.Context(), plain{s}, keys, func(int, []byte) error { t.Error("a value of a closed store"); return nil }); !errors.Is(err, mld.ErrClosed) {
		t.Error(err)
	}
}

func TestDurable(t *testing.T) {
	for _, c := range []struct {
		o    *mld.WriteOptions
		want mld.Durability
	}{
		{nil, mld.DurabilityNoSync}, {&mld.WriteOptions{}, mld.DurabilityNoSync}, {mld.Sync, mld.DurabilitySync}, {mld.NoSync, mld.DurabilityNoSync},
	} {
		if got := c.o.Durable(mld.DurabilityNoSync); got != c.want {
			t.Errorf("%+v: %s, want %s", c.o, got, c.want)
		}
	}
	if s := mld.DurabilityDefault.String() + mld.DurabilitySync.String() + mld.DurabilityNoSync.String(); s != "defaultsyncnosync" {
		t.Error(s)
	}
}
