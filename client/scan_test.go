package client_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/faultconn"
	"github.com/multileveldown/mld/wire"
)

// TestLongScanUnderCuts walks 100,000 entries over hundreds of connections, each
// of which is cut a little further than the first page or the first grant, and
// in the same walk seeks.
func TestLongScanUnderCuts(t *testing.T) {
	const entries = 100_000
	keys := make([]string, entries)
	for i := range keys {
		keys[i] = fmt.Sprintf("%06d", i)
	}
	for _, c := range []struct {
		dialect wire.Dialect
		o       mld.IterOptions
		cut     int // bytes that a connection lasts
	}{
		{wire.ManyLevel, mld.IterOptions{}, 9 << 10},
		{wire.ManyLevel, mld.IterOptions{Range: mld.Range{Reverse: true}}, 9 << 10},
		{wire.ManyLevel, mld.IterOptions{KeysOnly: true}, 5 << 10},
		{wire.ManyLevel, mld.IterOptions{ValuesOnly: true, Range: mld.Range{Reverse: true, Limit: 90_000}}, 9 << 10},
		{wire.Multileveldown, mld.IterOptions{}, 6 << 10},
		{wire.Multileveldown, mld.IterOptions{Range: mld.Range{Reverse: true, Limit: 99_999}}, 6 << 10},
	} {
		t.Run(fmt.Sprintf("%v %+v", c.dialect, c.o), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFaultyHost(func(n int) (in, out faultconn.Plan) {
					return faultconn.Plan{Cut: true, Kind: faultconn.Kind(n % 2), After: c.cut + n*37%997}, out
				})
				var b mld.Batch
				for _, k := range keys {
					b.Put([]byte(k), []byte("value of "+k))
				}
				if err := h.store.Apply(t.Context(), &b, nil); err != nil {
					t.Fatal(err)
				}
				db := client.New(h.dial, &client.Options{Dialect: c.dialect})
				walk(t, db, &c.o, keys)
				seekFar(t, db, keys)
				if h.conns < 200 {
					t.Errorf("only %d connections", h.conns)
				}
				db.Close()
				h.close()
			})
		})
	}
}

// seekFar walks a stretch after each of several seeks of one iterator.
func seekFar(t *testing.T, db mld.Store, keys []string) {
	t.Helper()
	it, err := db.NewIterator(t.Context(), &mld.IterOptions{Range: mld.Range{Limit: 10_000}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for _, from := range []int{50_000, 1, 99_990, 30_000} {
		it.Seek([]byte(keys[from]))
		want := keys[from:min(from+3000, len(keys))]
		var got []string
		for len(got) < len(want) && it.Next() {
			got = append(got, string(it.Key()))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("after a seek to %s came %d keys, %q to %q, %v; want %d", keys[from], len(got), got[:min(1, len(got))], got[max(len(got)-1, 0):], it.Err(), len(want))
		}
	}
	// 9,010 entries have been read; the limit holds over seeks.
	it.Seek([]byte(keys[0]))
	n := 0
	for it.Next() {
		n++
	}
	if n != 990 || it.Err() != nil {
		t.Errorf("%d entries up to the limit, %v; want 990", n, it.Err())
	}
}
