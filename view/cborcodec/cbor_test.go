package cborcodec_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/view"
	"github.com/multileveldown/mld/view/cborcodec"
)

type user struct {
	Name string `json:"name"`
	Age  int    `json:"age"`
}

// The bytes are those of npm cbor 10.0.12, encodeCanonical.
func TestCodec(t *testing.T) {
	c := cborcodec.New[user]()
	const want = "a263616765182a646e616d6563416e6e"
	got, err := c.Append([]byte("before"), user{"Ann", 42})
	if err != nil || hex.EncodeToString(got[6:]) != want || string(got[:6]) != "before" {
		t.Errorf("Append: %x, %v", got, err)
	}
	back, err := c.Decode(got[6:])
	if err != nil || back != (user{"Ann", 42}) {
		t.Errorf("Decode: %v, %v", back, err)
	}
}

// TestDecodeNode reads what npm cbor 10.0.12 made, in an order that is not ours,
// of { age: 42, name: 'Ann', tags: ['a'], x: 1.5, b: Buffer.from('hi') }.
func TestDecodeNode(t *testing.T) {
	src, _ := hex.DecodeString("a563616765182a646e616d6563416e6e64746167738161616178fa3fc000006162426869")
	got, err := cborcodec.New[map[string]any]().Decode(src)
	want := map[string]any{"age": uint64(42), "name": "Ann", "tags": []any{"a"}, "x": 1.5, "b": []byte("hi")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Decode: %v, %v", got, err)
	}
}

func TestErrors(t *testing.T) {
	if dst, err := cborcodec.New[any]().Append([]byte("x"), func() {}); err == nil || string(dst) != "x" {
		t.Errorf("a function is encoded as %q", dst)
	}
	store := memstore.New()
	defer store.Close()
	v := view.New(store, view.UTF8, cborcodec.New[user]())
	for _, bad := range []string{"", "\xff", "\xa1", "text", strings.Repeat("\x81", 1<<16)} {
		if err := view.WithValue(v, view.UTF8).Put(t.Context(), "ann", bad, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := v.Get(t.Context(), "ann"); !errors.Is(err, view.ErrDecode) || !errors.Is(err, mld.ErrCorruption) {
			t.Errorf("%.10q is decoded as %v, %v", bad, got, err)
		}
	}
}

func TestNewWith(t *testing.T) {
	enc, err := cbor.EncOptions{Sort: cbor.SortNone}.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	dec, err := cbor.DecOptions{ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	c := cborcodec.NewWith[user](enc, dec)
	p, err := c.Append(nil, user{"Ann", 42})
	if want := "a2646e616d6563416e6e63616765182a"; err != nil || hex.EncodeToString(p) != want {
		t.Errorf("Append: %x, %v", p, err)
	}
	if _, err := c.Decode([]byte("\xa1\x61x\x01")); err == nil {
		t.Error("an unknown field is decoded")
	}
}

func Example() {
	store := memstore.New()
	defer store.Close()

	type user struct {
		Name string `cbor:"name"`
		Age  int    `cbor:"age"`
	}
	users := view.New(store, view.UTF8, cborcodec.New[user]())
	ctx := context.Background()
	if err := users.Put(ctx, "ann", user{"Ann", 42}, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(users.Get(ctx, "ann"))
	// Output: {Ann 42} <nil>
}
