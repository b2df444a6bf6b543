package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/multileveldown/mld"
)

// ndjsonHelp explains the lines below the help of the commands that use them.
const ndjsonHelp = `A line is a JSON object:

  {"key":"a","value":"1"}
  {"key_base64":"AP8=","value_base64":"3q2+7w=="}

The second form is for a key, or a value, that is not UTF-8.`

// entryFields says which fields of an entry are written.
type entryFields struct{ key, value bool }

// appendEntry appends an entry as a line of NDJSON.
func (f entryFields) appendEntry(dst, key, value []byte) []byte {
	dst = append(dst, '{')
	if f.key {
		dst = appendField(dst, "key", key)
	}
	if f.key && f.value {
		dst = append(dst, ',')
	}
	if f.value {
		dst = appendField(dst, "value", value)
	}
	return append(dst, '}', '\n')
}

func appendField(dst []byte, name string, b []byte) []byte {
	dst = append(append(dst, '"'), name...)
	if utf8.Valid(b) {
		return appendJSONString(append(dst, `":`...), b)
	}
	dst = append(dst, `_base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, b), '"')
}

// appendJSONString appends s, which is UTF-8, as JSON. It escapes only what must
// be escaped.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// line is what a line of input may have.
type line struct {
	Type        *string `json:"type"`
	Key         *string `json:"key"`
	KeyBase64   []byte  `json:"key_base64"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64"`
}

// lineReader reads operations, one a line.
type lineReader struct {
	r *bufio.Reader
	n int // lines read

	// needType is set where a line must have a type; else it may, and the type
	// is put.
	needType bool
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 256<<10)}
}

// next returns the operation of the next line that is not blank, or [io.EOF].
// What is wrong with a line is an error that has its number.
func (l *lineReader) next() (mld.Op, error) {
	for {
		text, err := l.r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return mld.Op{}, fmt.Errorf("read of the input after line %d: %w", l.n, err)
		}
		if len(text) > 0 {
			l.n++
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			op, err := l.parse(text)
			if err != nil {
				return op, usageError("line %d of the input: %w", l.n, err)
			}
			return op, nil
		}
		if err == io.EOF {
			return mld.Op{}, io.EOF
		}
	}
}

func (l *lineReader) parse(text []byte) (op mld.Op, err error) {
	if err := checkText(text); err != nil {
		return op, err
	}
	var fields line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&fields); err != nil {
		return op, fmt.Errorf("this is no JSON object of the expected form: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return op, errors.New("there is something after the JSON object")
	}
	hasValue := fields.Value != nil || fields.ValueBase64 != nil
	switch {
	case fields.Type == nil && l.needType:
		return op, errors.New(`"type" is missing: it is "put" or "del"`)
	case fields.Type == nil || *fields.Type == "put":
		op.Kind = mld.OpPut
		if !hasValue {
			return op, errors.New(`"value" is missing`)
		}
	case *fields.Type == "del" && l.needType:
		op.Kind = mld.OpDelete
		if hasValue {
			return op, errors.New(`a "del" has no value`)
		}
	default:
		return op, fmt.Errorf("there is no type %q here", *fields.Type)
	}
	if op.Key, err = either("key", fields.Key, fields.KeyBase64); err != nil {
		return op, err
	}
	if fields.Key == nil && fields.KeyBase64 == nil {
		return op, errors.New(`"key" is missing`)
	}
	op.Value, err = either("value", fields.Value, fields.ValueBase64)
	return op, err
}

func either(name string, text *string, base64 []byte) ([]byte, error) {
	switch {
	case text != nil && base64 != nil:
		return nil, fmt.Errorf("%q and %q exclude each other", name, name+"_base64")
	case text != nil:
		return []byte(*text), nil
	default:
		return base64, nil
	}
}

// checkText refuses what package json would silently replace: bytes that are not
// UTF-8, and escapes of half a character, which JavaScript strings may have.
func checkText(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("this is not UTF-8; give such a key as key_base64 and such a value as value_base64")
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return nil
		}
		unit, ok := utf16Escape(text[i:])
		if !ok {
			text = text[i+2:]
			continue
		}
		text = text[i+6:]
		if unit < 0xd800 || unit > 0xdfff {
			continue
		}
		if low, ok := utf16Escape(text); unit <= 0xdbff && ok && low >= 0xdc00 && low <= 0xdfff {
			text = text[6:]
			continue
		}
		return fmt.Errorf(`\u%04x is half a character, which has no form in UTF-8`, unit)
	}
}

// utf16Escape returns the number in the \uXXXX that text begins with.
func utf16Escape(text []byte) (uint64, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return n, err == nil
}
