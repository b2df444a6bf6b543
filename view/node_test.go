package view_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/view"
)

// fixtures is what the npm packages store; testdata/fixtures.js makes it.
type fixtures struct {
	Codecs struct {
		Same     []codecCase // each side writes these bytes for this value
		ReadOnly []codecCase // Go does not write these bytes, or not for this value
	}
	Tuples []struct {
		Elements []element
		Bytes    string
	}
	Stores []nodeStore
}

type codecCase struct {
	Encoding       string
	Value, Decoded json.RawMessage
	Bytes          string
}

type element []json.RawMessage // type and value

type nodeStore struct {
	By     string
	Writes []struct {
		Sublevel                   []string
		KeyEncoding, ValueEncoding string
		Key, Value                 json.RawMessage
	}
	Entries [][2]string
	Ranges  []struct {
		Sublevel    []string
		KeyEncoding string
		Range       struct {
			GT, GTE, LT, LTE *string
			Limit            int
			Reverse          bool
		}
		Keys []string
	}
}

func readFixtures(t *testing.T) (f fixtures) {
	t.Helper()
	data, err := os.ReadFile("testdata/node.json")
	must(t, err)
	must(t, json.Unmarshal(data, &f))
	return f
}

// anyCodec is a codec of what a JSON text of the fixtures has.
type anyCodec = view.Codec[any]

// codecFor returns the codec that stands for an encoding of Level.
func codecFor(encoding string) anyCodec {
	text := func(c view.Codec[string]) anyCodec {
		return view.Map(c,
			func(v any) (string, error) { return v.(string), nil },
			func(s string) (any, error) { return s, nil })
	}
	switch encoding {
	case "utf8":
		return text(view.UTF8)
	case "hex":
		return text(view.Hex)
	case "base64":
		return text(view.Base64)
	case "json":
		return view.JSON[any]()
	case "buffer", "view", "binary":
		return text(view.Map(view.Bytes, hex.DecodeString,
			func(p []byte) (string, error) { return hex.EncodeToString(p), nil }))
	default:
		panic("no codec for " + encoding)
	}
}

func parse(t *testing.T, text json.RawMessage) (v any) {
	t.Helper()
	must(t, json.Unmarshal(text, &v))
	return v
}

func TestNodeCodecs(t *testing.T) {
	f := readFixtures(t)
	if len(f.Codecs.Same) < 30 || len(f.Codecs.ReadOnly) < 5 {
		t.Fatal("fixtures are missing")
	}
	for _, c := range f.Codecs.Same {
		t.Run(c.Encoding+" "+string(c.Value), func(t *testing.T) {
			got, err := codecFor(c.Encoding).Append([]byte("before"), parse(t, c.Value))
			must(t, err)
			equal(t, "bytes", hex.EncodeToString(got), hex.EncodeToString([]byte("before"))+c.Bytes)
		})
	}
	for _, c := range append(f.Codecs.Same, f.Codecs.ReadOnly...) {
		t.Run("read "+c.Encoding+" "+string(c.Value), func(t *testing.T) {
			stored, err := hex.DecodeString(c.Bytes)
			must(t, err)
			got, err := codecFor(c.Encoding).Decode(stored)
			must(t, err)
			equal(t, "value", got, parse(t, c.Decoded))
		})
	}
}

// TestNodeFormatsOfStrings covers what Node's lenient decoders take and the
// codecs take too; its values are of the fixtures' readOnly part.
func TestNodeFormatsOfStrings(t *testing.T) {
	for _, c := range readFixtures(t).Codecs.ReadOnly {
		if c.Encoding == "hex" || c.Encoding == "base64" {
			got, err := codecFor(c.Encoding).Append(nil, parse(t, c.Value))
			must(t, err)
			equal(t, string(c.Value), hex.EncodeToString(got), c.Bytes)
		}
	}
}

func TestStructsAsNodeWritesThem(t *testing.T) {
	got, err := view.JSON[user]().Append(nil, user{42, "Ann <ann@example.com>\u2028"})
	must(t, err)
	equal(t, "bytes", string(got), "{\"age\":42,\"name\":\"Ann <ann@example.com>\u2028\"}")
	got, err = view.JSON[string]().Append(nil, "a\xff\\u2028\xc3\"")
	must(t, err)
	equal(t, "bytes of a string that is not UTF-8", string(got), "\"a\ufffd\\\\u2028\ufffd\\\"\"")
}

func TestNodeTuples(t *testing.T) {
	list := readFixtures(t).Tuples
	if len(list) < 7 {
		t.Fatal("fixtures are missing")
	}
	for _, c := range list {
		want := tupleOf(t, c.Elements)
		got, err := view.Tuples.Append(nil, want)
		must(t, err)
		equal(t, fmt.Sprint("bytes of ", want), hex.EncodeToString(got), c.Bytes)
		back, err := view.Tuples.Decode(got)
		must(t, err)
		equal(t, "decoded", text(back), text(want))
	}
}

func tupleOf(t *testing.T, elements []element) view.Tuple {
	t.Helper()
	tuple := view.Tuple{}
	for _, e := range elements {
		var kind, s string
		must(t, json.Unmarshal(e[0], &kind))
		if len(e) > 1 && e[1][0] == '"' {
			must(t, json.Unmarshal(e[1], &s))
		}
		raw, _ := hex.DecodeString(s)
		switch kind {
		case "nil":
			tuple = append(tuple, nil)
		case "bytes":
			tuple = append(tuple, raw)
		case "string":
			tuple = append(tuple, s)
		case "tuple":
			var inner []element
			must(t, json.Unmarshal(e[1], &inner))
			tuple = append(tuple, tupleOf(t, inner))
		case "int":
			if i, err := strconv.ParseInt(s, 10, 64); err == nil {
				tuple = append(tuple, i)
			} else {
				u, err := strconv.ParseUint(s, 10, 64)
				must(t, err)
				tuple = append(tuple, u)
			}
		case "double":
			tuple = append(tuple, math.Float64frombits(binary.BigEndian.Uint64(raw)))
		case "float":
			tuple = append(tuple, float32(math.Float64frombits(binary.BigEndian.Uint64(raw))))
		case "bool":
			tuple = append(tuple, string(e[1]) == "true")
		case "uuid":
			tuple = append(tuple, [16]byte(raw))
		default:
			t.Fatalf("an element of type %q", kind)
		}
	}
	return tuple
}

func open(store mld.Store, names []string, key, value string) view.View[any, any] {
	v := view.New(store, codecFor(key), codecFor(value))
	for _, name := range names {
		v = view.Sub(v, name, codecFor(key), codecFor(value))
	}
	return v
}

func TestNodeStores(t *testing.T) {
	for _, s := range readFixtures(t).Stores {
		t.Run(s.By, func(t *testing.T) {
			ctx := t.Context()
			node := memstore.New() // what Node left behind
			defer node.Close()
			var want []string
			for _, e := range s.Entries {
				key, _ := hex.DecodeString(e[0])
				value, _ := hex.DecodeString(e[1])
				must(t, node.Put(ctx, key, value, nil))
				want = append(want, fmt.Sprintf("%q=%q", key, value))
			}

			ours := memstore.New()
			defer ours.Close()
			var batch view.Batch
			for _, w := range s.Writes {
				key, value := parse(t, w.Key), parse(t, w.Value)
				open(ours, w.Sublevel, w.KeyEncoding, w.ValueEncoding).PutIn(&batch, key, value)

				got, err := open(node, w.Sublevel, w.KeyEncoding, w.ValueEncoding).Get(ctx, key)
				must(t, err)
				equal(t, fmt.Sprint("value of ", key), got, value)
			}
			must(t, batch.Apply(ctx, nil))
			equal(t, "the store that Go wrote", raw(t, ours), want)

			for _, r := range s.Ranges {
				bound := func(s *string) *any {
					if s == nil {
						return nil
					}
					var v any = *s
					return &v
				}
				v := open(node, r.Sublevel, r.KeyEncoding, "view")
				keys := mustCollect(t, v.Keys(ctx, &view.Range[any]{
					GT: bound(r.Range.GT), GTE: bound(r.Range.GTE), LT: bound(r.Range.LT), LTE: bound(r.Range.LTE),
					Limit: r.Range.Limit, Reverse: r.Range.Reverse,
				}))
				var list []string
				for _, k := range keys {
					list = append(list, k.(string))
				}
				if !reflect.DeepEqual(list, append([]string(nil), r.Keys...)) {
					t.Errorf("range %+v of %s: %s, want %s", r.Range, strings.Join(r.Sublevel, " "), list, r.Keys)
				}
			}
		})
	}
}
