package namespace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/namespace"
	"github.com/multileveldown/mld/store/storetest"
)

// neighbours returns keys of the store below that are outside of the namespace of
// a prefix, and as close to it as can be.
func neighbours(prefix string) []string {
	var keys []string
	for _, key := range []string{
		"", "\x00", "!", prefix[:len(prefix)-1], prefix[:len(prefix)-1] + "\x00",
		string([]byte{prefix[0] - 1}) + "\xff\xff", "\xff", "\xff\xff\xff\xff",
	} {
		if !bytes.HasPrefix([]byte(key), []byte(prefix)) {
			keys = append(keys, key)
		}
	}
	if end := []byte(prefix); end[len(end)-1] != 0xff {
		end[len(end)-1]++
		keys = append(keys, string(end))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// TestConformance runs the suite in namespaces that lie between other keys, and
// looks that those are as they were.
func TestConformance(t *testing.T) {
	for _, prefix := range []string{"a", "\x01\x00", "b\xff", "\xff\xff"} {
		t.Run(fmt.Sprintf("%q", prefix), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) mld.Store {
				below := memstore.New()
				for _, key := range neighbours(prefix) {
					if err := below.Put(t.Context(), []byte(key), []byte("outside"), nil); err != nil {
						t.Fatal(err)
					}
				}
				ns := namespace.New(below, []byte(prefix))
				t.Cleanup(func() { checkOutside(t, below, ns) })
				return ns
			}, nil)
		})
	}
	t.Run("none", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) mld.Store { return namespace.New(memstore.New(), nil) }, nil)
	})
	t.Run("nested", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) mld.Store {
			return namespace.New(namespace.New(memstore.New(), []byte("a\xff")), []byte("\xff"))
		}, nil)
	})
}

func checkOutside(t *testing.T, below mld.Store, ns *namespace.Store) {
	t.Helper()
	ctx := context.Background() // the test's own has ended
	entries, err := mld.Collect(ctx, below, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if !bytes.HasPrefix(e.Key, ns.Prefix()) {
			n++
			if string(e.Value) != "outside" {
				t.Errorf("the entry %q outside became %q", e.Key, e.Value)
			}
		}
	}
	if want := len(neighbours(string(ns.Prefix()))); n != want {
		t.Errorf("%d entries are outside; want %d", n, want)
	}
}

func TestPrefixes(t *testing.T) {
	type format func(...string) ([]byte, error)
	for _, test := range []struct {
		format format
		names  []string
		want   string // "" is invalid
	}{
		{namespace.Sublevel, []string{"a"}, "!a!"},
		{namespace.Sublevel, []string{"a", "b"}, "!a!!b!"},
		{namespace.Sublevel, []string{"!!a!!", "!"}, "!a!!!"},
		{namespace.Sublevel, []string{""}, "!!"},
		{namespace.Sublevel, []string{"#~a-b_c.d/e"}, "!#~a-b_c.d/e!"},
		{namespace.Sublevel, nil, ""},
		{namespace.Sublevel, []string{"a", "a!b"}, ""},
		{namespace.Sublevel, []string{"\""}, ""},
		{namespace.Sublevel, []string{"a b"}, ""},
		{namespace.Sublevel, []string{"\x7f"}, ""},
		{namespace.Sublevel, []string{"é"}, ""},
		{namespace.Subleveldown, []string{"a", "b"}, "!a!!b!"},
		{namespace.Subleveldown, []string{"!a!", "!"}, "!a!!!"},
		{namespace.Subleveldown, []string{"é", "\x7f"}, "!é!!\x7f!"},
		{namespace.Subleveldown, nil, ""},
		{namespace.Subleveldown, []string{"!!a!!"}, ""},
		{namespace.Subleveldown, []string{"a b"}, ""},
	} {
		got, err := test.format(test.names...)
		if string(got) != test.want || (test.want == "") != errors.Is(err, mld.ErrInvalidArgument) {
			t.Errorf("the prefix of %q = %q, %v; want %q", test.names, got, err, test.want)
		}
	}
}

// TestErrorKeys looks that errors name keys as the caller knows them.
func TestErrorKeys(t *testing.T) {
	below := memstore.New()
	ns := namespace.New(below, []byte("secret/"))
	for name, err := range map[string]error{
		"Get": func() error { _, err := ns.Get(t.Context(), []byte("a")); return err }(),
		"Apply": func() error {
			var b mld.Batch
			b.Append(mld.Op{Kind: 99, Key: []byte("a")})
			return ns.Apply(t.Context(), &b, nil)
		}(),
	} {
		var e *mld.Error
		if !errors.As(err, &e) || string(e.Key) != "a" {
			t.Errorf("%s: the error %v does not name the key a", name, err)
		}
	}
}

// TestCloseLeavesStoreOpen closes one of two namespaces.
func TestCloseLeavesStoreOpen(t *testing.T) {
	below := memstore.New()
	a, b := namespace.New(below, []byte("a")), namespace.New(below, []byte("b"))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), []byte("k"), []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	if v, err := below.Get(t.Context(), b.Key([]byte("k"))); err != nil || string(v) != "v" {
		t.Fatalf("Get = %q, %v", v, err)
	}
}

// plain has none of the optional methods.
type plain struct{ mld.Store }

func TestStoreWithoutOptionalMethods(t *testing.T) {
	storetest.Run(t, func(t *testing.T) mld.Store {
		return namespace.New(plain{memstore.New()}, []byte("a"))
	}, nil)
	ns := namespace.New(plain{memstore.New()}, []byte("a"))
	if _, err := ns.Stats(t.Context()); !errors.Is(err, mld.ErrUnsupported) {
		t.Errorf("Stats of a store that tells none: %v", err)
	}
}
