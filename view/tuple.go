package view

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Tuple is a list of elements that is used as a key. An element is
//
//	nil
//	[]byte
//	string
//	Tuple
//	int, int8 … int64, uint, uint8 … uint64
//	float32
//	float64
//	bool
//	[16]byte, a UUID
//
// Tuples sort by their first elements, then by their second ones, and so on; one
// that begins with all of another sorts after it. Elements of different types
// sort in the order of this list, all integers counting as one type, whatever
// their sizes; elements of one type as their values do, strings by their bytes,
// floats as [Float64] does, false before true.
//
// A decoded tuple has an int64 for every integer that it can hold, and a uint64
// for greater ones.
type Tuple []any

// Tuples stores tuples in the format of FoundationDB's tuple layer, which has
// bindings in many languages and is laid down in that project's
// design/tuple.md. Of the standard types only integers beyond 64 bits and
// versionstamps are missing. Of several encodings that the format has for one
// integer only the shortest, which everybody writes, is decoded. Tuples nest to
// a depth of 64.
//
// A tuple is the prefix of those that begin with all its elements.
var Tuples PrefixCodec[Tuple] = tupleCodec{}

// The type codes of the format.
const (
	codeNil     = 0x00
	codeBytes   = 0x01
	codeString  = 0x02
	codeNested  = 0x05
	codeZero    = 0x14 // plus or minus the length of the integer
	codeFloat32 = 0x20
	codeFloat64 = 0x21
	codeFalse   = 0x26
	codeTrue    = 0x27
	codeUUID    = 0x30

	// escape follows a zero byte that is not an end. No type has this code.
	escape = 0xff
)

// maxDepth bounds the recursion, which goes as deep as a key says.
const maxDepth = 64

var (
	errDepth = fmt.Errorf("tuples within tuples deeper than %d", maxDepth)
	errShort = errors.New("the tuple ends within an element")
)

type tupleCodec struct{}

func (tupleCodec) Append(dst []byte, t Tuple) ([]byte, error) {
	n := len(dst)
	dst, err := appendTuple(dst, t, 0)
	if err != nil {
		return dst[:n], err
	}
	return dst, nil
}

// PrefixEnd relies on every code being less than the escape.
func (tupleCodec) PrefixEnd(p []byte) []byte { return append(p, escape) }

func appendTuple(dst []byte, t Tuple, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, errDepth
	}
	for _, e := range t {
		switch e := e.(type) {
		case nil:
			dst = append(dst, codeNil)
			if depth > 0 {
				dst = append(dst, escape)
			}
		case []byte:
			dst = appendEscaped(append(dst, codeBytes), e)
		case string:
			dst = appendEscaped(append(dst, codeString), e)
		case Tuple:
			var err error
			if dst, err = appendTuple(append(dst, codeNested), e, depth+1); err != nil {
				return dst, err
			}
			dst = append(dst, 0)
		case int:
			dst = appendInt(dst, int64(e))
		case int8:
			dst = appendInt(dst, int64(e))
		case int16:
			dst = appendInt(dst, int64(e))
		case int32:
			dst = appendInt(dst, int64(e))
		case int64:
			dst = appendInt(dst, e)
		case uint:
			dst = appendUint(dst, uint64(e))
		case uint8:
			dst = appendUint(dst, uint64(e))
		case uint16:
			dst = appendUint(dst, uint64(e))
		case uint32:
			dst = appendUint(dst, uint64(e))
		case uint64:
			dst = appendUint(dst, e)
		case float32:
			dst = binary.BigEndian.AppendUint32(append(dst, codeFloat32), sortableBits32(e))
		case float64:
			dst = binary.BigEndian.AppendUint64(append(dst, codeFloat64), sortableBits(e))
		case bool:
			if e {
				dst = append(dst, codeTrue)
			} else {
				dst = append(dst, codeFalse)
			}
		case [16]byte:
			dst = append(append(dst, codeUUID), e[:]...)
		default:
			return dst, fmt.Errorf("a tuple has no elements of type %T", e)
		}
	}
	return dst, nil
}

// appendEscaped appends s, each zero byte followed by the escape, and a zero
// byte that is not.
func appendEscaped[S string | []byte](dst []byte, s S) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == 0 {
			dst = append(dst, escape)
		}
	}
	return append(dst, 0)
}

func appendUint(dst []byte, u uint64) []byte {
	n := byteLen(u)
	return appendLow(append(dst, byte(codeZero+n)), u, n)
}

// appendInt appends a negative number as the complement of its magnitude.
func appendInt(dst []byte, i int64) []byte {
	if i >= 0 {
		return appendUint(dst, uint64(i))
	}
	magnitude := -uint64(i)
	n := byteLen(magnitude)
	return appendLow(append(dst, byte(codeZero-n)), ^magnitude, n)
}

// appendLow appends the n low bytes of u, the highest first.
func appendLow(dst []byte, u uint64, n int) []byte {
	for n--; n >= 0; n-- {
		dst = append(dst, byte(u>>(8*n)))
	}
	return dst
}

func byteLen(u uint64) int { return (bits.Len64(u) + 7) / 8 }

func (tupleCodec) Decode(src []byte) (Tuple, error) {
	t, _, err := decodeTuple(src, 0)
	return t, err
}

// decodeTuple reads elements up to the end of src or, where depth is not 0, of
// the nested tuple, and returns what follows.
func decodeTuple(src []byte, depth int) (t Tuple, rest []byte, err error) {
	if depth > maxDepth {
		return nil, nil, errDepth
	}
	t = Tuple{}
	for len(src) > 0 {
		if depth > 0 && src[0] == 0 {
			if len(src) == 1 || src[1] != escape {
				return t, src[1:], nil
			}
			t, src = append(t, nil), src[2:]
			continue
		}
		var e any
		if e, src, err = decodeElement(src[0], src[1:], depth); err != nil {
			return nil, nil, err
		}
		t = append(t, e)
	}
	if depth > 0 {
		return nil, nil, errShort
	}
	return t, nil, nil
}

func decodeElement(code byte, src []byte, depth int) (e any, rest []byte, err error) {
	switch {
	case code == codeNil:
		return nil, src, nil
	case code == codeBytes:
		return decodeEscaped(src)
	case code == codeString:
		b, rest, err := decodeEscaped(src)
		return string(b), rest, err
	case code == codeNested:
		return decodeTuple(src, depth+1)
	case code >= codeZero-8 && code <= codeZero+8:
		return decodeInt(int(code)-codeZero, src)
	case code == codeFloat32 && len(src) >= 4:
		return fromSortableBits32(binary.BigEndian.Uint32(src)), src[4:], nil
	case code == codeFloat64 && len(src) >= 8:
		return fromSortableBits(binary.BigEndian.Uint64(src)), src[8:], nil
	case code == codeFalse, code == codeTrue:
		return code == codeTrue, src, nil
	case code == codeUUID && len(src) >= 16:
		return [16]byte(src[:16]), src[16:], nil
	case code == codeFloat32, code == codeFloat64, code == codeUUID:
		return nil, nil, errShort
	default:
		return nil, nil, fmt.Errorf("%#02x is not the code of a tuple element", code)
	}
}

func decodeEscaped(src []byte) (b, rest []byte, err error) {
	b = []byte{}
	for {
		i := bytes.IndexByte(src, 0)
		if i < 0 {
			return nil, nil, errShort
		}
		if i+1 == len(src) || src[i+1] != escape {
			return append(b, src[:i]...), src[i+1:], nil
		}
		b = append(b, src[:i+1]...)
		src = src[i+2:]
	}
}

// decodeInt reads an integer of n bytes, or of -n bytes and negative.
func decodeInt(n int, src []byte) (e any, rest []byte, err error) {
	length := max(n, -n)
	if len(src) < length {
		return nil, nil, errShort
	}
	var u uint64
	for _, b := range src[:length] {
		u = u<<8 | uint64(b)
	}
	rest = src[length:]
	if n < 0 {
		u = ^u
		if length < 8 {
			u &= 1<<(8*length) - 1
		}
	}
	switch {
	case byteLen(u) != length:
		return nil, nil, errors.New("an integer that is longer than it need be")
	case n >= 0 && u <= math.MaxInt64:
		return int64(u), rest, nil
	case n >= 0:
		return u, rest, nil
	case u <= -math.MinInt64:
		return int64(-u), rest, nil
	default:
		return nil, nil, errors.New("a negative integer of more than 64 bits")
	}
}

func sortableBits32(f float32) uint32 {
	u := math.Float32bits(f)
	if u&(1<<31) != 0 {
		return ^u
	}
	return u | 1<<31
}

func fromSortableBits32(u uint32) float32 {
	if u&(1<<31) != 0 {
		return math.Float32frombits(u ^ 1<<31)
	}
	return math.Float32frombits(^u)
}

// Scan copies the elements of t to the variables that targets point to, as many
// as the tuple has elements:
//
//	var city string
//	var year int64
//	err := t.Scan(&city, &year)
//
// A target points to a type that a decoded tuple has, to an int or a uint64 that
// can hold the element, or to an any; nil skips the element. The error, of a
// tuple of another length or with other types, says which element was the
// first that did not fit.
func (t Tuple) Scan(targets ...any) error {
	if len(t) != len(targets) {
		return fmt.Errorf("a tuple of %d elements, not %d", len(t), len(targets))
	}
	for i, e := range t {
		if !assign(targets[i], e) {
			return fmt.Errorf("element %d of the tuple, %v of type %T, does not fit %T", i, e, e, targets[i])
		}
	}
	return nil
}

// assign reports whether e could be stored where target points to.
func assign(target, e any) bool {
	switch target := target.(type) {
	case nil:
		return true
	case *any:
		*target = e
		return true
	case *int:
		i, ok := e.(int64)
		*target = int(i)
		return ok && int64(*target) == i
	case *uint64:
		if i, ok := e.(int64); ok && i >= 0 {
			*target = uint64(i)
			return true
		}
		return set(target, e)
	case *int64:
		return set(target, e)
	case *string:
		return set(target, e)
	case *[]byte:
		return set(target, e)
	case *float64:
		return set(target, e)
	case *float32:
		return set(target, e)
	case *bool:
		return set(target, e)
	case *Tuple:
		return set(target, e)
	case *[16]byte:
		return set(target, e)
	default:
		return false
	}
}

func set[T any](target *T, e any) (ok bool) {
	*target, ok = e.(T)
	return ok
}
