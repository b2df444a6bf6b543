package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/multileveldown/mld"
)

func testSnapshots(t *tester) {
	t.putAll("a", "b")
	snap := t.snapshot()
	if snap == nil {
		return
	}
	t.put("a", "changed")
	t.delete("b")
	t.put("c", "new")
	later := t.snapshot()

	t.want(snap, "a", "value of a")
	t.want(snap, "b", "value of b")
	t.wantMissing(snap, "c")
	t.wantKeys(snap, nil, "a", "b")
	t.wantKeys(snap, &mld.IterOptions{Range: mld.Range{Reverse: true, Limit: 1}}, "b")
	values, err := snap.GetMany(t.ctx, [][]byte{[]byte("c"), []byte("b")})
	if err != nil || len(values) != 2 || values[0] != nil || string(values[1]) != "value of b" {
		t.Fatalf("GetMany of a snapshot = %q, %v", values, err)
	}
	t.wantKeys(later, nil, "a", "c")

	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	for name, err := range readErrors(ended, snap) {
		t.wantErr("a snapshot's "+name+" with an ended context", err, context.Canceled)
	}
	for range 2 {
		if err := snap.Close(); err != nil {
			t.Fatalf("Snapshot.Close: %v", err)
		}
	}
	for name, err := range readErrors(t.ctx, snap) {
		t.wantErr(name+" of a closed snapshot", err, mld.ErrClosed)
	}
	t.wantKeys(later, nil, "a", "c")
	t.wantKeys(t.s, nil, "a", "c")
	if err := later.Close(); err != nil {
		t.Fatalf("Snapshot.Close: %v", err)
	}
}

// testPinned compares GetPinned with Get, and looks that a value that is held
// stays what it was.
func testPinned(t *tester) {
	t.put("a", "1")
	t.put("empty", "")
	readers := map[string]mld.Reader{"store": t.s}
	if snap := t.snapshot(); snap != nil {
		defer snap.Close()
		readers["snapshot"] = snap
	}
	for name, r := range readers {
		p, ok := r.(mld.PinnedGetter)
		if !ok {
			t.Logf("does not apply: the %s is no mld.PinnedGetter", name)
			continue
		}
		value, closer, err := p.GetPinned(t.ctx, []byte("a"))
		if err != nil || string(value) != "1" {
			t.Fatalf("%s: GetPinned = %q, %v", name, value, err)
		}
		t.put("a", "2")
		t.delete("a")
		if string(value) != "1" {
			t.Fatalf("%s: a pinned value became %q", name, value)
		}
		release(t, closer)

		value, closer, err = p.GetPinned(t.ctx, []byte("empty"))
		if err != nil || len(value) != 0 {
			t.Fatalf("%s: GetPinned of an empty value = %q, %v", name, value, err)
		}
		release(t, closer)

		_, closer, err = p.GetPinned(t.ctx, []byte("missing"))
		t.wantErr(name+": GetPinned of a missing key", err, mld.ErrNotFound)
		if closer != nil {
			t.Fatalf("%s: GetPinned gave a closer with its error", name)
		}
		ended, cancel := context.WithCancel(t.ctx)
		cancel()
		_, _, err = p.GetPinned(ended, []byte("empty"))
		t.wantErr(name+": GetPinned with an ended context", err, context.Canceled)
		t.put("a", "1")
	}
}

func release(t *tester, c io.Closer) {
	t.Helper()
	if c == nil {
		return
	}
	if err := c.Close(); err != nil {
		t.Fatalf("closing a pinned value: %v", err)
	}
}

// testEach compares GetEach with GetMany: of the store, whether it has one or goes
// through GetMany, and of a snapshot.
func testEach(t *tester) {
	t.put("a", "1")
	t.put("empty", "")
	readers := map[string]mld.Reader{"store": t.s}
	if snap := t.snapshot(); snap != nil {
		defer snap.Close()
		readers["snapshot"] = snap
	}
	keys := [][]byte{[]byte("empty"), []byte("missing"), []byte("a"), []byte("a")}
	for name, r := range readers {
		want, err := r.GetMany(t.ctx, keys)
		if err != nil {
			t.Fatalf("%s: GetMany: %v", name, err)
		}
		next := 0
		err = mld.GetEach(t.ctx, r, keys, func(i int, value []byte) error {
			if i != next || !bytes.Equal(value, want[i]) || (value == nil) != (want[i] == nil) {
				t.Errorf("%s: GetEach: call %d has %d, %#v; want %#v", name, next, i, value, want[i])
			}
			next++
			return t.s.Put(t.ctx, []byte("missing"), []byte("new"), nil) // not seen by this call
		})
		if err != nil || next != len(keys) {
			t.Fatalf("%s: GetEach called %d times, %v; want %d", name, next, err, len(keys))
		}
		t.delete("missing")

		enough := errors.New("enough")
		calls := 0
		err = mld.GetEach(t.ctx, r, keys, func(int, []byte) error { calls++; return enough })
		t.wantErr(name+": GetEach whose function fails", err, enough)
		if calls != 1 {
			t.Fatalf("%s: GetEach went on after an error, to %d calls", name, calls)
		}
		ended, cancel := context.WithCancel(t.ctx)
		cancel()
		err = mld.GetEach(ended, r, keys, func(int, []byte) error { return nil })
		t.wantErr(name+": GetEach with an ended context", err, context.Canceled)
	}
}

func testTogether(t *tester) {
	t.put("a", "1")
	t.put("empty", "")
	keys := [][]byte{[]byte("empty"), []byte("missing"), []byte("a"), []byte("a")}
	for _, value := range []string{"1", "2"} {
		t.put("a", value)
		for range 2 { // a cache has them the second time
			calls := make([]int, len(keys))
			err := mld.GetTogether(t.ctx, t.s, keys, func(i int, got []byte, err error) error {
				want := map[string]string{"empty": "", "a": value}[string(keys[i])]
				switch {
				case string(keys[i]) == "missing":
					t.wantErr("GetTogether of a key that is not there", err, mld.ErrNotFound)
				case err != nil || string(got) != want:
					t.Errorf("GetTogether of %q: %#v, %v; want %q", keys[i], got, err, want)
				}
				calls[i]++
				return nil
			})
			if err != nil || !slices.Equal(calls, []int{1, 1, 1, 1}) {
				t.Fatalf("GetTogether called %v times, %v; want once for each key", calls, err)
			}
		}
	}
	enough := errors.New("enough")
	calls := 0
	err := mld.GetTogether(t.ctx, t.s, keys, func(int, []byte, error) error { calls++; return enough })
	t.wantErr("GetTogether whose function fails", err, enough)
	if calls != 1 {
		t.Fatalf("GetTogether went on after an error, to %d calls", calls)
	}
	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	err = mld.GetTogether(ended, t.s, keys, func(_ int, _ []byte, err error) error {
		t.wantErr("GetTogether with an ended context", err, context.Canceled)
		return nil
	})
	if err != nil {
		t.Fatalf("GetTogether with an ended context: %v", err)
	}
}

func testStats(t *tester) {
	st, ok := t.s.(mld.Statser)
	if !ok {
		t.Log("does not apply: the store is no mld.Statser")
		return
	}
	t.put("a", "1")
	stats, err := st.Stats(t.ctx)
	if errors.Is(err, mld.ErrUnsupported) {
		t.Logf("does not apply: %v", err) // a decorator, of a store that is no Statser
		return
	}
	if err != nil || stats.Engine == "" {
		t.Fatalf("Stats = %+v, %v; want a name in Engine", stats, err)
	}
}

// readErrors calls every method of a reader and returns their errors by name.
func readErrors(ctx context.Context, r mld.Reader) map[string]error {
	key := []byte("a")
	errs := map[string]error{}
	_, errs["Get"] = r.Get(ctx, key)
	_, errs["GetMany"] = r.GetMany(ctx, [][]byte{key})
	errs["GetEach"] = mld.GetEach(ctx, r, [][]byte{key}, func(int, []byte) error { return nil })
	it, err := r.NewIterator(ctx, nil)
	if err == nil {
		it.Close()
	}
	errs["NewIterator"] = err
	if p, ok := r.(mld.PinnedGetter); ok {
		_, c, err := p.GetPinned(ctx, key)
		if c != nil {
			c.Close()
		}
		errs["GetPinned"] = err
	}
	return errs
}

// writeErrors calls every method that writes and returns their errors by name.
func writeErrors(ctx context.Context, w mld.Writer) map[string]error {
	var b mld.Batch
	b.Put([]byte("batch"), []byte("written"))
	b.Delete([]byte("a"))
	return map[string]error{
		"Put":    w.Put(ctx, []byte("put"), []byte("written"), nil),
		"Delete": w.Delete(ctx, []byte("a"), nil),
		"Apply":  w.Apply(ctx, &b, nil),
		"Clear":  w.Clear(ctx, mld.Range{}, nil),
	}
}

// storeErrors calls every method of a store but Close.
func storeErrors(ctx context.Context, s mld.Store) map[string]error {
	errs := readErrors(ctx, s)
	for name, err := range writeErrors(ctx, s) {
		errs[name] = err
	}
	snap, err := s.NewSnapshot(ctx)
	if err == nil {
		snap.Close()
	}
	errs["NewSnapshot"] = err
	if st, ok := s.(mld.Statser); ok {
		_, errs["Stats"] = st.Stats(ctx)
	}
	return errs
}

func testEndedContext(t *tester) {
	t.put("a", "1")
	cancelled, cancel := context.WithCancel(t.ctx)
	cancel()
	expired, cancel := context.WithDeadline(t.ctx, time.Unix(0, 0))
	defer cancel()
	for _, test := range []struct {
		ctx  context.Context
		want error
	}{
		{cancelled, context.Canceled},
		{expired, context.DeadlineExceeded},
	} {
		for name, err := range storeErrors(test.ctx, t.s) {
			if name == "NewSnapshot" && t.o.NoSnapshots && errors.Is(err, mld.ErrUnsupported) {
				continue
			}
			t.wantErr(name+" with an ended context", err, test.want)
		}
		t.wantKeys(t.s, nil, "a")
		t.want(t.s, "a", "1")
	}
}

func testClose(t *tester) {
	t.putAll("a", "b")
	fresh := t.iterator(t.s, nil)
	begun := t.iterator(t.s, nil)
	begun.Next()
	snap := t.snapshot()
	var ofSnapshot mld.Iterator
	if snap != nil {
		ofSnapshot = t.iterator(snap, nil)
	}

	for range 2 {
		if err := t.s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	for name, err := range storeErrors(t.ctx, t.s) {
		if name == "NewSnapshot" && t.o.NoSnapshots && errors.Is(err, mld.ErrUnsupported) {
			continue
		}
		t.wantErr(name+" of a closed store", err, mld.ErrClosed)
	}
	for name, it := range map[string]mld.Iterator{"fresh": fresh, "begun": begun, "snapshot's": ofSnapshot} {
		if it == nil {
			continue
		}
		if it.Next() {
			t.Fatalf("a %s iterator of a closed store came to %q", name, it.Key())
		}
		t.wantErr("a "+name+" iterator of a closed store", it.Err(), mld.ErrClosed)
		it.Seek([]byte("a"))
		if it.Next() {
			t.Fatalf("a seek revived a %s iterator of a closed store", name)
		}
		t.wantErr("closing a "+name+" iterator of a closed store", it.Close(), mld.ErrClosed)
	}
	if snap != nil {
		for name, err := range readErrors(t.ctx, snap) {
			t.wantErr(name+" of a closed store's snapshot", err, mld.ErrClosed)
		}
		if err := snap.Close(); err != nil && !errors.Is(err, mld.ErrClosed) {
			t.Fatalf("closing a closed store's snapshot: %v", err)
		}
	}
}

func testReadOnly(t *testing.T, o *Options) {
	entries := []mld.Entry{
		{Key: []byte("a"), Value: []byte("1")},
		{Key: []byte("b"), Value: []byte("2")},
	}
	s := o.ReadOnly(t, entries)
	defer s.Close()
	c := newTester(t, s, o)
	for name, err := range writeErrors(c.ctx, s) {
		c.wantErr(name+" to a read-only store", err, mld.ErrReadOnly)
	}
	if got := c.collect(s, nil); !equalEntries(got, entries) {
		t.Fatalf("a read-only store holds %q; want %q", got, entries)
	}
	for _, e := range entries {
		c.want(s, string(e.Key), string(e.Value))
	}
	c.wantMissing(s, fmt.Sprintf("%s0", entries[0].Key))
}
