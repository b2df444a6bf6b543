package namespace_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/namespace"
	"github.com/multileveldown/mld/store/storetest"
)

const record = mld.ReservedPrefix + "srecord"

// TestServedConformance runs the suite over namespaces that may lie around the
// reserved keys, and looks that those are as they were.
func TestServedConformance(t *testing.T) {
	for _, prefix := range []string{"a", "\xff", "\xff\xff"} {
		t.Run(fmt.Sprintf("%q", prefix), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) mld.Store {
				below := memstore.New()
				if err := below.Put(t.Context(), []byte(record), []byte("record"), nil); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if v, err := below.Get(t.Context(), []byte(record)); err == nil && string(v) != "record" || errors.Is(err, mld.ErrNotFound) {
						t.Errorf("the record is now %q, %v", v, err)
					}
				})
				return namespace.NewServed(below, []byte(prefix))
			}, nil)
		})
	}
}

// TestServedRecords writes records together with entries, below the prefixes that
// a record might be mistaken below.
func TestServedRecords(t *testing.T) {
	for _, prefix := range []string{"", "a", "\xff", "\xff\xff", mld.ReservedPrefix, mld.ReservedPrefix + "s"} {
		t.Run(fmt.Sprintf("%q", prefix), func(t *testing.T) {
			below := memstore.New()
			ns := namespace.NewServed(below, []byte(prefix))
			var b mld.Batch
			b.Put([]byte("k"), []byte("v"))
			b.Put([]byte(record), []byte("record"))
			err := ns.Apply(t.Context(), &b, nil)
			// What the prefix makes a reserved key is no entry.
			if mld.IsReserved([]byte(prefix + "k")) {
				var e *mld.Error
				if !errors.Is(err, mld.ErrReservedKey) || !errors.As(err, &e) || string(e.Key) != "k" {
					t.Errorf("a key that is reserved below: %v", err)
				}
				b.Reset()
				b.Put([]byte(record), []byte("record"))
				err = ns.Apply(t.Context(), &b, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			get := func() string {
				v, err := below.Get(t.Context(), []byte(record))
				if err != nil {
					t.Fatal(err)
				}
				return string(v)
			}
			if get() != "record" {
				t.Errorf("the record is %q", get())
			}
			// Nothing of that can be seen or removed.
			for _, reader := range []mld.Reader{ns, must(ns.NewSnapshot(t.Context()))} {
				entries, err := mld.Collect(t.Context(), reader, nil)
				for _, e := range entries {
					if string(e.Key) != "k" {
						t.Errorf("%q can be seen", e.Key)
					}
				}
				if err != nil {
					t.Error(err)
				}
				for _, key := range []string{record, record[min(len(prefix), len(record)):]} {
					if _, err := reader.Get(t.Context(), []byte(key)); !errors.Is(err, mld.ErrNotFound) {
						t.Errorf("Get %q: %v", key, err)
					}
				}
			}
			b.Reset()
			b.DeleteRange(nil, nil)
			if err := ns.Apply(t.Context(), &b, nil); err != nil {
				t.Fatal(err)
			}
			if err := ns.Clear(t.Context(), mld.Range{Limit: 10}, nil); err != nil {
				t.Fatal(err)
			}
			if entries, err := mld.Collect(t.Context(), below, nil); err != nil || len(entries) != 1 || get() != "record" {
				t.Errorf("left: %q, %v", entries, err)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestStats counts nothing that is outside.
func TestStats(t *testing.T) {
	below := memstore.New()
	a := namespace.New(below, []byte("a"))
	before := must(a.Stats(t.Context()))
	if err := below.Put(t.Context(), []byte("b"), make([]byte, 1<<20), nil); err != nil {
		t.Fatal(err)
	}
	if after := must(a.Stats(t.Context())); after.Engine != "memory" || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("Stats went from %+v to %+v", before, after)
	}
	whole, all := must(below.Stats(t.Context())), must(namespace.New(below, nil).Stats(t.Context()))
	if fmt.Sprint(all) != fmt.Sprint(whole) {
		t.Errorf("Stats of all are %+v; want %+v", all, whole)
	}
}
