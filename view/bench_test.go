package view_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/view"
)

// void is a store that takes every write and has one value, so that what is
// measured is the view.
type void struct{ mld.Store }

func (void) Put(context.Context, []byte, []byte, *mld.WriteOptions) error { return nil }
func (void) Get(context.Context, []byte) ([]byte, error)                  { return []byte("value"), nil }

func BenchmarkPut(b *testing.B) {
	ctx := b.Context()
	v := view.Sub(view.New[string, string](void{}, view.UTF8, view.UTF8), "sub", view.UTF8, view.UTF8)
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Put(ctx, "a key of some length", "value", nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutJSON(b *testing.B) {
	ctx := b.Context()
	v := view.New[string, user](void{}, view.UTF8, view.JSON[user]())
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Put(ctx, "key", user{42, "Ann"}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	ctx := b.Context()
	v := view.Sub(view.New[string, []byte](void{}, view.UTF8, view.Bytes), "sub", view.Uint64, view.UTF8)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Get(ctx, 42); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBatch(b *testing.B) {
	v := view.Sub(view.New[string, string](&void{}, view.UTF8, view.UTF8), "sub", view.Uint64, view.UTF8)
	var batch view.Batch
	b.ReportAllocs()
	for b.Loop() {
		if batch.Len() == 1000 {
			batch.Reset()
		}
		v.PutIn(&batch, 42, "value")
	}
}

func BenchmarkAll(b *testing.B) {
	ctx, store := b.Context(), newStore(b)
	v := view.New(store, view.Uint64, view.UTF8)
	const n = 1000
	for i := range uint64(n) {
		must(b, v.Put(ctx, i, fmt.Sprint("value ", i), nil))
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range v.All(ctx, nil) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}

func BenchmarkTuple(b *testing.B) {
	tuple := view.Tuple{"a string", 123456, true, view.Tuple{1.5, nil}}
	dst := make([]byte, 0, 64)
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := view.Tuples.Append(dst, tuple); err != nil {
				b.Fatal(err)
			}
		}
	})
	src, _ := view.Tuples.Append(nil, tuple)
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := view.Tuples.Decode(src); err != nil {
				b.Fatal(err)
			}
		}
	})
}
