package view

import (
	"bytes"
	"encoding/json"
)

// JSON returns the codec that stores values as JSON, like json in Level. It
// encodes and decodes as encoding/json does, struct tags, [json.Marshaler] and
// [json.RawMessage] included, and writes the bytes that JSON.stringify would,
// without escaping <, > and &, except that
//
//   - the fields of a struct come in the order of their declaration and the
//     keys of a map sorted, where JavaScript has the order of insertion;
//   - negative zero is "-0", where JavaScript writes "0";
//   - NaN and the infinities are an error, where JavaScript writes "null".
//
// What one side wrote the other reads, with the limits of its types: in
// JavaScript numbers beyond 2⁵³ lose digits. Bytes of a Go string that are not
// UTF-8 are written as U+FFFD, and a lone surrogate that JavaScript wrote (as
// an escape such as \ud800) is read as U+FFFD.
//
// As keys, JSON encodings sort by their bytes: 10 before 9.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Append(dst []byte, v T) ([]byte, error) {
	n := len(dst)
	w := appender(dst)
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, err
	}
	text := w[n : len(w)-1] // without the line feed that Encode adds
	return w[:n+len(unescape(text))], nil
}

func (jsonCodec[T]) Decode(src []byte) (v T, err error) {
	err = json.Unmarshal(src, &v)
	return v, err
}

// appender is a writer that appends to itself.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// unescape replaces, in place, the three escapes that encoding/json insists on
// and JSON.stringify does not use: the line separators, which JavaScript once
// forbade in strings, and what stands for bytes that are not UTF-8.
func unescape(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\u`)) {
		return text
	}
	out := text[:0]
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		if i+6 <= len(text) {
			var r string
			switch string(text[i : i+6]) {
			case `\u2028`:
				r = "\u2028"
			case `\u2029`:
				r = "\u2029"
			case `\ufffd`:
				r = "\ufffd"
			}
			if r != "" {
				out = append(out, r...)
				i += 5
				continue
			}
		}
		// Keep the escaped character, which may be a backslash, with its own.
		out = append(out, text[i], text[i+1])
		i++
	}
	return out
}
