package view

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/multileveldown/mld"
)

// Codec turns values of T into bytes and back. Its methods may be called
// together. Ranges of keys follow the order of the bytes: only a codec that
// keeps the order of the values makes ranges that mean the same for both.
type Codec[T any] interface {
	// Append appends the encoding of v to dst and returns the extended slice,
	// as append does. It keeps neither dst nor memory of v.
	Append(dst []byte, v T) ([]byte, error)

	// Decode returns the value that src encodes. It does not change src, and
	// the value must not share memory with it: src is valid until Decode
	// returns. Decode gets whatever the store holds and must not panic.
	Decode(src []byte) (T, error)
}

// PrefixCodec is implemented by a codec of which one encoding begins with
// another where one value begins with another. Only its views have ranges with
// a [Range.Prefix].
type PrefixCodec[T any] interface {
	Codec[T]

	// PrefixEnd returns the least byte string that is greater than the
	// encoding of every value that begins with v, where p is the encoding of
	// v; nil when there is none. It may change p and return it.
	PrefixEnd(p []byte) []byte
}

// ErrDecode is returned, within an [mld.Error] that names the key, when bytes in
// the store are not an encoding of the view's codec.
var ErrDecode = errors.New("not in the encoding of this view")

// Map returns the codec of T that encodes to(v) by means of codec, and decodes
// with from. It keeps the order of codec, and its prefixes.
func Map[T, U any](codec Codec[U], to func(T) (U, error), from func(U) (T, error)) Codec[T] {
	m := mapped[T, U]{codec, to, from}
	if p, ok := codec.(PrefixCodec[U]); ok {
		return mappedPrefix[T, U]{m, p}
	}
	return m
}

type mapped[T, U any] struct {
	codec Codec[U]
	to    func(T) (U, error)
	from  func(U) (T, error)
}

func (m mapped[T, U]) Append(dst []byte, v T) ([]byte, error) {
	u, err := m.to(v)
	if err != nil {
		return dst, err
	}
	return m.codec.Append(dst, u)
}

func (m mapped[T, U]) Decode(src []byte) (T, error) {
	u, err := m.codec.Decode(src)
	if err != nil {
		var zero T
		return zero, err
	}
	return m.from(u)
}

type mappedPrefix[T, U any] struct {
	mapped[T, U]
	prefix PrefixCodec[U]
}

func (m mappedPrefix[T, U]) PrefixEnd(p []byte) []byte { return m.prefix.PrefixEnd(p) }

// encodeError says that an argument of a call cannot be encoded. key is the raw
// key of the entry, where that much is known.
func encodeError(op, part string, key []byte, err error) error {
	return &mld.Error{
		Code: mld.CodeInvalidArgument, Op: op, Key: bytes.Clone(key),
		Msg: "the " + part + " cannot be encoded", Err: err,
	}
}

// decodeError says that the key or the value of a stored entry makes no sense.
func decodeError(op, part string, key []byte, err error) error {
	return &mld.Error{
		Code: mld.CodeCorruption, Op: op, Key: bytes.Clone(key),
		Msg: "the " + part + " is", Err: fmt.Errorf("%w: %w", ErrDecode, err),
	}
}
