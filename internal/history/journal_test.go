package history

import (
	"bytes"
	"context"
	"reflect"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
)

// TestJournal cuts a journal at every byte: what is left has each operation that
// had ended, and the one that had begun as unknown.
func TestJournal(t *testing.T) {
	var file bytes.Buffer
	log := Log{Journal: NewJournal(&file)}
	c := log.Client(0, memstore.New())
	ctx := context.Background()
	c.Put(ctx, []byte("a"), []byte{}, nil)
	c.Get(ctx, []byte("a"), []byte("b"))
	c.Delete(ctx, []byte("a"), nil)
	c.Clear(ctx, mld.Range{GTE: []byte("a"), Limit: 1}, mld.NoSync)
	c.Put(ctx, []byte("b"), []byte("1"), nil)
	c.Scan(ctx, mld.Range{})
	if err := log.Journal.Err(); err != nil {
		t.Fatal(err)
	}
	want := log.Ops()
	unknown := 0
	for n := range file.Len() + 1 {
		got, err := ReadJournal(file.Bytes()[:n])
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		for i, o := range got {
			if o.Outcome == mld.Unknown && i == len(got)-1 {
				unknown++
				o.Return, o.Outcome = want[i].Return, want[i].Outcome
			}
			if !reflect.DeepEqual(o, want[i]) {
				t.Fatalf("%d bytes: operation %d is %+v; want %+v", n, i, o, want[i])
			}
		}
		if n == file.Len() && len(got) != len(want) {
			t.Fatalf("%d operations; want %d", len(got), len(want))
		}
	}
	if unknown == 0 {
		t.Error("no operation was under way")
	}
	if _, err := ReadJournal([]byte("{\n")); err == nil {
		t.Error("a line that is none was read")
	}
}
