package mld_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/multileveldown/mld"
)

func TestBatch(t *testing.T) {
	var b mld.Batch
	if b.Len() != 0 || b.Size() != 0 || len(b.Ops()) != 0 {
		t.Error("the zero batch is not empty")
	}
	for range 2 { // the second time after a Reset
		key, value := []byte("key"), []byte("value")
		b.Put(key, value)
		b.Delete(key)
		b.Put(nil, nil)
		key[0], value[0] = 'x', 'x'
		b.Append(mld.Op{Kind: mld.OpPut, Key: key, Value: value}, mld.Op{Kind: mld.OpDelete, Key: key})
		key[1] = 'x'
		want := []mld.Op{
			{Kind: mld.OpPut, Key: []byte("key"), Value: []byte("value")},
			{Kind: mld.OpDelete, Key: []byte("key")},
			{Kind: mld.OpPut, Key: []byte{}, Value: []byte{}},
			{Kind: mld.OpPut, Key: []byte("xxy"), Value: []byte("xalue")}, // not copied
			{Kind: mld.OpDelete, Key: []byte("xxy")},
		}
		if !reflect.DeepEqual(b.Ops(), want) {
			t.Errorf("%q, want %q", b.Ops(), want)
		}
		if b.Len() != 5 || b.Size() != 3+5+3+3+5+3 {
			t.Errorf("Len %d, Size %d", b.Len(), b.Size())
		}
		ops := b.Ops()
		b.Reset()
		if b.Len() != 0 || b.Size() != 0 || ops[0].Key != nil {
			t.Errorf("after Reset: Len %d, Size %d, and it keeps %q", b.Len(), b.Size(), ops[0].Key)
		}
	}
}

// TestBatchDeleteRange looks at the bounds: those that are copied, and none, which
// is not the same as an empty one.
func TestBatchDeleteRange(t *testing.T) {
	var b mld.Batch
	b.DeleteRange(nil, []byte{}) // first, when the batch has no memory yet
	lower, upper := []byte("a"), []byte("bc")
	b.DeleteRange(lower, upper)
	lower[0], upper[0] = 'x', 'x'
	b.DeleteRange([]byte("d"), nil)
	want := []mld.Op{
		{Kind: mld.OpDeleteRange, Key: []byte{}, Value: []byte{}},
		{Kind: mld.OpDeleteRange, Key: []byte("a"), Value: []byte("bc")},
		{Kind: mld.OpDeleteRange, Key: []byte("d"), Value: nil},
	}
	if !reflect.DeepEqual(b.Ops(), want) {
		t.Errorf("%#v, want %#v", b.Ops(), want)
	}
	if b.Len() != 3 || b.Size() != 4 {
		t.Errorf("Len %d, Size %d", b.Len(), b.Size())
	}
}

// TestBatchMemory sees that what was added stays as it was while more is added,
// whatever the sizes, and that a batch that is reused takes no memory.
func TestBatchMemory(t *testing.T) {
	var b mld.Batch
	var want [][]byte
	for i := range 500 {
		key := fmt.Appendf(nil, "key %d", i)
		value := bytes.Repeat([]byte{byte(i)}, i*i%9000)
		b.Put(key, value)
		want = append(want, key, value)
	}
	for i, op := range b.Ops() {
		if !bytes.Equal(op.Key, want[2*i]) || !bytes.Equal(op.Value, want[2*i+1]) {
			t.Fatalf("operation %d changed", i)
		}
		if cap(op.Key) != len(op.Key) || cap(op.Value) != len(op.Value) {
			t.Fatalf("appending to operation %d would write over the next", i)
		}
	}
	var small mld.Batch
	key, value := []byte("key"), []byte("value")
	if n := testing.AllocsPerRun(100, func() {
		small.Reset()
		for range 10 {
			small.Put(key, value)
			small.Delete(key)
		}
	}); n != 0 {
		t.Errorf("a batch that is reused allocates %v times", n)
	}
}

func TestOpKind(t *testing.T) {
	for kind, want := range map[mld.OpKind]string{mld.OpPut: "put", mld.OpDelete: "del", mld.OpDeleteRange: "del-range", 0: "unknown", 9: "unknown"} {
		if got := kind.String(); got != want {
			t.Errorf("%d: %s, want %s", kind, got, want)
		}
	}
}
