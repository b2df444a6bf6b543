// Package cborcodec stores the values of a view as CBOR (RFC 8949). It is apart
// from package view so that only programs that use CBOR link it.
//
//	users := view.New(store, view.UTF8, cborcodec.New[User]())
//
// Node programs use the same data with a CBOR package of theirs as encoding, an
// object with encode, decode and format: 'buffer'.
package cborcodec

import (
	"github.com/fxamacker/cbor/v2"

	"github.com/multileveldown/mld/view"
)

// encMode is RFC 8949's core deterministic encoding: shortest forms, sorted map
// keys. Equal values have equal bytes.
var encMode = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // the library refuses its own options
	}
	return m
}()

var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{}.DecMode()
	if err != nil {
		panic(err) // the library refuses its own options
	}
	return m
}()

// New returns the codec that encodes deterministically and decodes with the
// limits that github.com/fxamacker/cbor sets by default: a nesting of 32, and
// 131,072 elements in an array or a map. Struct tags are those of that package,
// and of encoding/json where there are none. The encodings do not sort as the
// values do.
func New[T any]() view.Codec[T] { return NewWith[T](encMode, decMode) }

// NewWith returns the codec with other modes.
func NewWith[T any](enc cbor.EncMode, dec cbor.DecMode) view.Codec[T] {
	return codec[T]{enc, dec}
}

type codec[T any] struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func (c codec[T]) Append(dst []byte, v T) ([]byte, error) {
	p, err := c.enc.Marshal(v)
	if err != nil {
		return dst, err
	}
	return append(dst, p...), nil
}

func (c codec[T]) Decode(src []byte) (v T, err error) {
	err = c.dec.Unmarshal(src, &v)
	return v, err
}
