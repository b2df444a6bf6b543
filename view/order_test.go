package view_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/view"
)

func encode[T any](t *testing.T, c view.Codec[T], v T) []byte {
	t.Helper()
	p, err := c.Append([]byte{}, v)
	must(t, err)
	return p
}

// TestTupleFormat has the test cases of FoundationDB's design/tuple.md.
func TestTupleFormat(t *testing.T) {
	for _, test := range []struct {
		tuple view.Tuple
		want  string
	}{
		{view.Tuple{[]byte("foo\x00bar")}, "\x01foo\x00\xffbar\x00"},
		{view.Tuple{"F\u00d4O\u0000bar"}, "\x02F\xc3\x94O\x00\xffbar\x00"},
		{view.Tuple{view.Tuple{[]byte("foo\x00bar"), nil, view.Tuple{}}}, "\x05\x01foo\x00\xffbar\x00\x00\xff\x05\x00\x00"},
		{view.Tuple{-5551212}, "\x11\xabK\x93"},
		{view.Tuple{float32(-42)}, "\x20\x3d\xd7\xff\xff"},
	} {
		equal(t, fmt.Sprint(test.tuple), string(encode(t, view.Tuples, test.tuple)), test.want)
	}
}

func TestTupleIntegerTypes(t *testing.T) {
	got := encode(t, view.Tuples, view.Tuple{int8(-7), int16(-7), int32(-7), -7, uint8(7), uint16(7), uint32(7), uint(7), uint64(7)})
	n, p := int64(-7), int64(7)
	equal(t, "decoded", mustDecode(t, got), view.Tuple{n, n, n, n, p, p, p, p, p})
}

// nested returns a tuple with n tuples around it.
func nested(n int) view.Tuple {
	t := view.Tuple{}
	for range n {
		t = view.Tuple{t}
	}
	return t
}

func TestTupleErrors(t *testing.T) {
	for _, tuple := range []view.Tuple{{1i}, {"a", struct{}{}}, {view.Tuple{[]string{}}}, nested(65)} {
		if p, err := view.Tuples.Append([]byte("x"), tuple); err == nil || string(p) != "x" {
			t.Errorf("%v is encoded as %q", tuple, p)
		}
	}
	equal(t, "depth", fmt.Sprint(mustDecode(t, encode(t, view.Tuples, nested(64)))), fmt.Sprint(nested(64)))
	for name, src := range map[string]string{
		"unknown code":            "\x7f",
		"escape":                  "\xff",
		"endless bytes":           "\x01ab",
		"endless string":          "\x02a\x00\xff",
		"endless tuple":           "\x05\x14",
		"short integer":           "\x16\x01",
		"short negative integer":  "\x0c\x01",
		"short float":             "\x20\x00\x00\x00",
		"short double":            "\x21\x00",
		"short UUID":              "\x30" + strings.Repeat("x", 15),
		"long integer":            "\x16\x00\x05",
		"long negative integer":   "\x12\xff\xfe",
		"negative zero":           "\x13\xff",
		"integer beyond int64":    "\x0c\x00\x00\x00\x00\x00\x00\x00\x00",
		"depth":                   strings.Repeat("\x05", 65) + strings.Repeat("\x00", 65),
		"depth that would be mad": strings.Repeat("\x05", 1<<20),
	} {
		if got, err := view.Tuples.Decode([]byte(src)); err == nil {
			t.Errorf("%s: decoded as %v", name, got)
		}
	}
}

func mustDecode(t *testing.T, src []byte) view.Tuple {
	t.Helper()
	tuple, err := view.Tuples.Decode(src)
	must(t, err)
	return tuple
}

// ordered is a list of tuples in order, no two equal.
var ordered = []view.Tuple{
	{},
	{nil},
	{nil, nil},
	{nil, ""},
	{[]byte{}},
	{[]byte{}, nil},
	{[]byte{0}},
	{[]byte{0, 0}},
	{[]byte{0, 1}},
	{[]byte{0, 0xff}},
	{[]byte{1}},
	{[]byte{0xff}},
	{[]byte{0xff, 0}},
	{""},
	{"", nil},
	{"", "b"},
	{"\x00"},
	{"\x00\xff"},
	{"\x01"},
	{"a"},
	{"a", nil},
	{"a", "z"},
	{"a\x00"},
	{"a\x00b"},
	{"aa"},
	{"\xff"},
	{view.Tuple{}},
	{view.Tuple{}, nil},
	{view.Tuple{}, "x"},
	{view.Tuple{nil}},
	{view.Tuple{nil}, "x"},
	{view.Tuple{nil, nil}},
	{view.Tuple{"a"}},
	{view.Tuple{"a"}, 1},
	{view.Tuple{"a", nil}},
	{view.Tuple{view.Tuple{}}},
	{math.MinInt64},
	{math.MinInt64 + 1},
	{-1 << 32},
	{-1<<32 + 1},
	{-65537},
	{-65536},
	{-65535},
	{-257},
	{-256},
	{-255},
	{-1},
	{0},
	{1},
	{255},
	{256},
	{65535},
	{65536},
	{1<<32 - 1},
	{1 << 32},
	{math.MaxInt64},
	{uint64(math.MaxInt64) + 1},
	{uint64(math.MaxUint64)},
	{float32(math.Inf(-1))},
	{float32(-1)},
	{float32(0)},
	{float32(1)},
	{math.Inf(-1)},
	{-math.MaxFloat64},
	{-1.0},
	{-math.SmallestNonzeroFloat64},
	{math.Copysign(0, -1)},
	{0.0},
	{math.SmallestNonzeroFloat64},
	{1.0},
	{math.Inf(1)},
	{math.NaN()},
	{false},
	{false, false},
	{true},
	{[16]byte{}},
	{[16]byte{15: 1}},
}

func TestTupleOrder(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			if got := bytes.Compare(encode(t, view.Tuples, a), encode(t, view.Tuples, b)); got != cmp.Compare(i, j) {
				t.Errorf("%#v compares with %#v as %d, want %d", a, b, got, cmp.Compare(i, j))
			}
		}
	}
}

// text tells apart all tuples, those with zeros of different kinds included.
func text(tuple view.Tuple) string {
	var b strings.Builder
	for _, e := range tuple {
		if inner, ok := e.(view.Tuple); ok {
			fmt.Fprintf(&b, "(%s)", text(inner))
		} else {
			fmt.Fprintf(&b, "(%T %#v)", e, e)
		}
	}
	return b.String()
}

// TestTuplePrefix checks that a range by prefix has those tuples that begin with
// all elements of it and no others, of every tuple in the list.
func TestTuplePrefix(t *testing.T) {
	ctx := t.Context()
	v := view.Sub(view.New(newStore(t), view.UTF8, view.None), "t", view.Tuples, view.None)
	for _, tuple := range ordered {
		must(t, v.Put(ctx, tuple, struct{}{}, nil))
	}
	for _, p := range ordered {
		want, got := []string{}, []string{}
		for _, tuple := range ordered {
			if len(tuple) >= len(p) && text(tuple[:len(p)]) == text(p) {
				want = append(want, text(mustDecode(t, encode(t, view.Tuples, tuple)))) // its int is an int64
			}
		}
		for _, tuple := range mustCollect(t, v.Keys(ctx, view.Prefix(p))) {
			got = append(got, text(tuple))
		}
		equal(t, "prefix "+text(p), got, want)
	}
}

func TestTupleScan(t *testing.T) {
	tuple := mustDecode(t, encode(t, view.Tuples, view.Tuple{
		"s", []byte("b"), -1, 2, uint64(math.MaxUint64), 1.5, float32(2.5), true, view.Tuple{nil}, nil, [16]byte{1}, "skipped",
	}))
	var (
		s    string
		b    []byte
		i    int
		i64  int64
		u    uint64
		f    float64
		f32  float32
		yes  bool
		in   view.Tuple
		any  any = 1
		uuid [16]byte
	)
	must(t, tuple.Scan(&s, &b, &i, &i64, &u, &f, &f32, &yes, &in, &any, &uuid, nil))
	equal(t, "variables", []interface{}{s, string(b), i, i64, u, f, f32, yes, in, any, uuid},
		[]interface{}{"s", "b", -1, int64(2), uint64(math.MaxUint64), 1.5, float32(2.5), true, view.Tuple{nil}, nil, [16]byte{1}})
	must(t, view.Tuple{int64(7)}.Scan(&u))
	equal(t, "a small uint64", u, uint64(7))
	for _, err := range []error{
		tuple.Scan(&s), view.Tuple{"s"}.Scan(&i), view.Tuple{int64(-1)}.Scan(&u),
		view.Tuple{uint64(math.MaxUint64)}.Scan(&i), view.Tuple{nil}.Scan(&s), view.Tuple{"s"}.Scan(new(struct{})),
	} {
		if err == nil {
			t.Error("a tuple that does not fit is scanned")
		}
	}
}

func TestStringErrors(t *testing.T) {
	for _, s := range []string{"a", "zz", "0x10", " 00"} {
		if p, err := view.Hex.Append([]byte("x"), s); err == nil || string(p) != "x" {
			t.Errorf("hex %q is encoded as %q", s, p)
		}
	}
	for _, s := range []string{"a", "a b=", "YQ\n==", "Y=Q=", "é"} {
		if p, err := view.Base64.Append([]byte("x"), s); err == nil || string(p) != "x" {
			t.Errorf("base64 %q is encoded as %q", s, p)
		}
	}
	for _, s := range []string{"", "1234567", "123456789"} {
		_, err1 := view.Uint64.Decode([]byte(s))
		_, err2 := view.Int64.Decode([]byte(s))
		_, err3 := view.Float64.Decode([]byte(s))
		if err1 == nil || err2 == nil || err3 == nil {
			t.Errorf("%q is decoded as a number", s)
		}
	}
}

func TestNumbersInAStore(t *testing.T) {
	ctx := t.Context()
	v := view.New(newStore(t), view.Float64, view.None)
	want := []float64{math.Inf(-1), -2, -0.5, 0, 1e-300, 3, math.Inf(1)}
	for _, f := range []float64{3, -2, math.Inf(1), 0, -0.5, math.Inf(-1), 1e-300} {
		must(t, v.Put(ctx, f, struct{}{}, nil))
	}
	equal(t, "keys", mustCollect(t, v.Keys(ctx, nil)), want)
	equal(t, "keys", mustCollect(t, v.Keys(ctx, view.Between(-1.0, 1.0).Backward())), []float64{1e-300, 0, -0.5})
}

func FuzzNumbers(f *testing.F) {
	for _, u := range []uint64{0, 1, 1 << 63, math.MaxUint64, math.Float64bits(1.5), math.Float64bits(-1.5), math.Float64bits(math.NaN())} {
		f.Add(u, uint64(0))
		f.Add(u, ^u)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		order(t, view.Uint64, a, b, cmp.Compare(a, b))
		order(t, view.Int64, int64(a), int64(b), cmp.Compare(int64(a), int64(b)))
		x, y := math.Float64frombits(a), math.Float64frombits(b)
		want := cmp.Compare(x, y)
		if x == y { // zeros differ in their signs
			want = cmp.Compare(math.Copysign(1, x), math.Copysign(1, y))
		}
		if x == x && y == y {
			order(t, view.Float64, x, y, want)
		}
		back, err := view.Float64.Decode(encode(t, view.Float64, x))
		must(t, err)
		equal(t, "bits", math.Float64bits(back), a)
	})
}

// order checks a round trip and that the encodings of a and b compare as want.
func order[T any](t *testing.T, c view.Codec[T], a, b T, want int) {
	t.Helper()
	p, q := encode(t, c, a), encode(t, c, b)
	if got := bytes.Compare(p, q); got != want {
		t.Errorf("%v compares with %v as %d, want %d", a, b, got, want)
	}
	back, err := c.Decode(p)
	must(t, err)
	equal(t, "round trip", back, a)
}

// FuzzTuples decodes two keys. What can be decoded must encode to the same bytes,
// and so two tuples must compare as their encodings do.
func FuzzTuples(f *testing.F) {
	for i, tuple := range ordered {
		p, err := view.Tuples.Append(nil, tuple)
		if err != nil {
			f.Fatal(err)
		}
		q, _ := view.Tuples.Append(nil, ordered[len(ordered)-1-i])
		f.Add(p, q)
		f.Add(p[:len(p)/2], append(q, p...))
	}
	f.Fuzz(func(t *testing.T, p, q []byte) {
		a, err := view.Tuples.Decode(p)
		if err != nil {
			return
		}
		equal(t, fmt.Sprintf("encoding of %#v", a), encode(t, view.Tuples, a), append([]byte{}, p...))
		b, err := view.Tuples.Decode(q)
		if err != nil {
			return
		}
		if got, want := bytes.Compare(p, q), compareTuples(a, b); got != want {
			t.Errorf("%#v compares with %#v as %d, want %d", a, b, got, want)
		}
	})
}

// compareTuples is the order that Tuple documents.
func compareTuples(a, b view.Tuple) int {
	return slices.CompareFunc(a, b, func(x, y any) int {
		if c := cmp.Compare(rank(x), rank(y)); c != 0 {
			return c
		}
		switch x := x.(type) {
		case []byte:
			return bytes.Compare(x, y.([]byte))
		case string:
			return cmp.Compare(x, y.(string))
		case view.Tuple:
			return compareTuples(x, y.(view.Tuple))
		case int64:
			if y, ok := y.(int64); ok {
				return cmp.Compare(x, y)
			}
			return -1 // a uint64 is beyond every int64
		case uint64:
			if y, ok := y.(uint64); ok {
				return cmp.Compare(x, y)
			}
			return 1
		case float32:
			return totalOrder(int64(int32(math.Float32bits(x))), int64(int32(math.Float32bits(y.(float32)))), math.MaxInt32)
		case float64:
			return totalOrder(int64(math.Float64bits(x)), int64(math.Float64bits(y.(float64))), math.MaxInt64)
		case bool:
			return cmp.Compare(fmt.Sprint(x), fmt.Sprint(y)) // "false" before "true"
		case [16]byte:
			z := y.([16]byte)
			return bytes.Compare(x[:], z[:])
		default:
			return 0
		}
	})
}

// totalOrder compares the bits of two floats as IEEE 754 says: by sign, and then
// by magnitude, the other way round for the negative.
func totalOrder(x, y, magnitude int64) int {
	if x < 0 {
		x ^= magnitude
	}
	if y < 0 {
		y ^= magnitude
	}
	return cmp.Compare(x, y)
}

func rank(e any) int {
	return slices.Index([]reflect.Type{
		nil, reflect.TypeFor[[]byte](), reflect.TypeFor[string](), reflect.TypeFor[view.Tuple](),
		reflect.TypeFor[int64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](),
		reflect.TypeFor[bool](), reflect.TypeFor[[16]byte](),
	}, reflect.TypeOf(asInt64(e)))
}

func asInt64(e any) any {
	if _, ok := e.(uint64); ok {
		return int64(0)
	}
	return e
}

// FuzzText round-trips what the string codecs store, and checks that nothing
// stored makes any decoder panic.
func FuzzText(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\u2028\ud800"]}`))
	f.Add([]byte("a\xff\\u2028\u2028\\\\u2029\x00\""))
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, c := range []view.Codec[string]{view.UTF8, view.Hex, view.Base64} {
			s, err := c.Decode(p)
			must(t, err)
			equal(t, s, encode(t, c, s), append([]byte{}, p...))
		}
		encoded := encode(t, view.JSON[string](), string(p))
		back, err := view.JSON[string]().Decode(encoded)
		must(t, err)
		equal(t, "JSON "+string(encoded), back, string([]rune(string(p))))
		if v, err := view.JSON[any]().Decode(p); err == nil {
			encode(t, view.JSON[any](), v)
		}
	})
}

func TestCodecErrorsNameTheReason(t *testing.T) {
	v := view.New(newStore(t), view.Tuples, view.UTF8)
	err := v.Put(t.Context(), view.Tuple{"a", 1i}, "", nil)
	if !errors.Is(err, mld.ErrInvalidArgument) || !strings.Contains(err.Error(), "complex128") {
		t.Errorf("Put: %v", err)
	}
}
