package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// The names of the ways in which keys and values are given and shown.
const (
	encodingUTF8    = "utf8"
	encodingHex     = "hex"
	encodingBase64  = "base64"
	encodingEscaped = "escaped"
)

// encodingHelp explains them below the help of a command that has the flags.
const encodingHelp = `Keys and values are text as it is, unless --key-encoding and --value-encoding say
otherwise: hex, base64, or escaped, where \n, \r, \t, \\ and \x00 to \xff stand for
bytes.`

func keyEncodingFlag(c *cobra.Command, value *string) {
	encodingFlag(c, value, "key-encoding", "how keys are given and shown")
}

func valueEncodingFlag(c *cobra.Command, value *string) {
	encodingFlag(c, value, "value-encoding", "how values are given and shown")
}

func encodingFlag(c *cobra.Command, value *string, name, usage string) {
	choiceFlag(c, value, name, encodingUTF8, usage, encodingUTF8, encodingHex, encodingBase64, encodingEscaped)
}

// decode returns the bytes that s, an argument or an input, stands for. The
// result is never nil.
func decode(encoding, s string) ([]byte, error) {
	b := []byte{}
	var err error
	switch encoding {
	case encodingHex:
		b, err = hex.DecodeString(strings.TrimSpace(s))
	case encodingBase64:
		b, err = base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	case encodingEscaped:
		b, err = unescape(s)
	default:
		b = append(b, s...)
	}
	if err != nil {
		return nil, usageError("%q is not %s: %w", s, encoding, err)
	}
	return b, nil
}

// appendEncoded appends b in an encoding. In utf8 that is b itself.
func appendEncoded(dst []byte, encoding string, b []byte) []byte {
	switch encoding {
	case encodingHex:
		return hex.AppendEncode(dst, b)
	case encodingBase64:
		return base64.StdEncoding.AppendEncode(dst, b)
	case encodingEscaped:
		return appendEscaped(dst, b)
	default:
		return append(dst, b...)
	}
}

// appendEscaped appends b on one line, with everything that cannot be seen, or
// is not UTF-8, in escapes.
func appendEscaped(dst, b []byte) []byte {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\\':
			dst = append(dst, `\\`...)
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == utf8.RuneError && n == 1, !unicode.IsPrint(r):
			for _, c := range b[:n] {
				dst = append(dst, `\x`...)
				dst = hex.AppendEncode(dst, []byte{c})
			}
		default:
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}

func unescape(s string) ([]byte, error) {
	b := make([]byte, 0, len(s))
	for {
		text, rest, found := strings.Cut(s, `\`)
		b = append(b, text...)
		if !found {
			return b, nil
		}
		if rest == "" {
			return nil, fmt.Errorf(`it ends in a lone \`)
		}
		s = rest[1:]
		switch rest[0] {
		case '\\':
			b = append(b, '\\')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'x':
			if len(s) < 2 {
				return nil, fmt.Errorf(`\x needs two hexadecimal digits`)
			}
			c, err := strconv.ParseUint(s[:2], 16, 8)
			if err != nil {
				return nil, fmt.Errorf(`\x%s is not a byte`, s[:2])
			}
			b, s = append(b, byte(c)), s[2:]
		default:
			return nil, fmt.Errorf(`there is no escape \%c`, []rune(rest)[0])
		}
	}
}
