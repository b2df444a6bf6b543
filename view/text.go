package view

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// These codecs are the encodings that Level programs use, apart from [JSON].
var (
	// UTF8 stores a string as it is, like utf8 in Level. Go strings hold any
	// bytes and nothing is replaced on the way, so that every key that was
	// read can be used to get or delete; Node reads bytes that are not UTF-8
	// as U+FFFD, and writes a lone surrogate as U+FFFD too. The order is that
	// of the bytes, which is that of the code points; JavaScript's own, by
	// UTF-16 units, differs above U+FFFF.
	UTF8 Codec[string] = utf8Codec{}

	// Bytes stores a byte slice as it is, like buffer, view and binary in
	// Level. A decoded slice is a copy, and not nil.
	Bytes Codec[[]byte] = bytesCodec{}

	// Hex stores the bytes that a string of hexadecimal digits stands for, like
	// hex in Level: the store has raw bytes, the program sees digits, lower
	// case. Digits of either case are encoded. Other characters, and an odd
	// number of digits, are an error, where Node would silently drop them.
	Hex Codec[string] = hexCodec{}

	// Base64 stores the bytes that a base64 string stands for, like base64 in
	// Level: the store has raw bytes, the program sees the standard alphabet
	// with padding. As in Node the URL alphabet and missing padding are
	// accepted too; other characters are an error, where Node would silently
	// drop them. The order is that of the bytes, not of the strings.
	Base64 Codec[string] = base64Codec{}

	// None stores nothing, for entries whose key says everything, such as
	// those of an index. It reads any value as nothing, so that a view with it
	// (see [WithValue]) walks keys without reading their values.
	None Codec[struct{}] = noneCodec{}
)

var (
	_ PrefixCodec[string] = utf8Codec{}
	_ PrefixCodec[[]byte] = bytesCodec{}
	_ PrefixCodec[string] = hexCodec{}
)

// rawPrefix is the rule of codecs that encode the parts of a value in order and
// put nothing between them.
type rawPrefix struct{}

func (rawPrefix) PrefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			p[i]++
			return p[:i+1]
		}
	}
	return nil
}

type utf8Codec struct{ rawPrefix }

func (utf8Codec) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (utf8Codec) Decode(src []byte) (string, error)           { return string(src), nil }

type bytesCodec struct{ rawPrefix }

func (bytesCodec) Append(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (bytesCodec) Decode(src []byte) ([]byte, error)    { return append([]byte{}, src...), nil }

type hexCodec struct{ rawPrefix }

func (hexCodec) Append(dst []byte, v string) ([]byte, error) {
	n := len(dst)
	dst, err := hex.AppendDecode(dst, []byte(v))
	if err != nil {
		return dst[:n], fmt.Errorf("%q: %w", v, err)
	}
	return dst, nil
}

func (hexCodec) Decode(src []byte) (string, error) { return hex.EncodeToString(src), nil }

type base64Codec struct{}

// toStandard rewrites the URL alphabet to the standard one.
var toStandard = strings.NewReplacer("-", "+", "_", "/")

func (base64Codec) Append(dst []byte, v string) ([]byte, error) {
	n := len(dst)
	digits := toStandard.Replace(strings.TrimRight(v, "="))
	if strings.ContainsAny(digits, "\r\n") {
		return dst, fmt.Errorf("%q: base64 with a line break", v)
	}
	dst, err := base64.RawStdEncoding.AppendDecode(dst, []byte(digits))
	if err != nil {
		return dst[:n], fmt.Errorf("%q: %w", v, err)
	}
	return dst, nil
}

func (base64Codec) Decode(src []byte) (string, error) {
	return base64.StdEncoding.EncodeToString(src), nil
}

type noneCodec struct{}

func (noneCodec) Append(dst []byte, _ struct{}) ([]byte, error) { return dst, nil }
func (noneCodec) Decode([]byte) (struct{}, error)               { return struct{}{}, nil }
