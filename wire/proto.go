package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Wire types of protocol buffers.
const (
	typeVarint = 0
	typeI64    = 1
	typeBytes  = 2
	typeI32    = 5
)

// uvarintLen returns how many bytes the varint of v takes.
func uvarintLen(v uint64) int {
	return (bits.Len64(v|1) + 6) / 7
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// Fields below 16 have keys of one byte, and the extensions keys of two.
func appendKey(dst []byte, field, typ int) []byte {
	return binary.AppendUvarint(dst, uint64(field<<3|typ))
}

func appendUint(dst []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(appendKey(dst, field, typeVarint), v)
}

func appendBool(dst []byte, field int, v bool) []byte {
	if v {
		return appendUint(dst, field, 1)
	}
	return appendUint(dst, field, 0)
}

func appendBytes[T []byte | string](dst []byte, field int, v T) []byte {
	dst = binary.AppendUvarint(appendKey(dst, field, typeBytes), uint64(len(v)))
	return append(dst, v...)
}

// appendOptional writes v unless it is nil, for nil is absence.
func appendOptional(dst []byte, field int, v []byte) []byte {
	if v == nil {
		return dst
	}
	return appendBytes(dst, field, v)
}

// bytesLen returns the size of a bytes field whose key takes one byte.
func bytesLen(n int) int {
	return 1 + uvarintLen(uint64(n)) + n
}

// A scanner walks the fields of one message.
type scanner struct {
	rest  []byte
	field int
	typ   int
	num   uint64 // of a varint field
	bytes []byte // of a bytes field; never nil there
	bad   bool
}

// next moves to the next field; it returns false at the end and when the rest
// is not a field, which sets bad.
func (s *scanner) next() bool {
	if len(s.rest) == 0 || s.bad {
		return false
	}
	// Nearly every key and length is one byte.
	key := uint64(s.rest[0])
	if key < 0x80 {
		s.rest = s.rest[1:]
	} else if key = s.uvarint(); s.bad || key > math.MaxUint32 {
		s.bad = true
		return false
	}
	s.field, s.typ = int(key>>3), int(key&7)
	switch s.typ {
	case typeVarint:
		s.num = s.uvarint()
	case typeBytes:
		n := s.uvarint()
		if s.bad || n > uint64(len(s.rest)) {
			s.bad = true
			return false
		}
		s.bytes, s.rest = s.rest[:n:n], s.rest[n:]
	case typeI64:
		s.skip(8)
	case typeI32:
		s.skip(4)
	default: // groups, which neither npm package understands
		s.bad = true
	}
	return !s.bad
}

func (s *scanner) uvarint() uint64 {
	if len(s.rest) > 0 && s.rest[0] < 0x80 {
		v := uint64(s.rest[0])
		s.rest = s.rest[1:]
		return v
	}
	v, n := binary.Uvarint(s.rest)
	if n <= 0 {
		s.bad = true
		return 0
	}
	s.rest = s.rest[n:]
	return v
}

func (s *scanner) skip(n int) {
	if len(s.rest) < n {
		s.bad = true
		return
	}
	s.rest = s.rest[n:]
}

// id takes the field as an id, and reports whether it is one.
func (s *scanner) id() (id uint32, ok bool) {
	id = s.uint32()
	return id, !s.bad
}

// uint32 takes the field as a varint that fits 32 bits.
func (s *scanner) uint32() uint32 {
	if s.typ != typeVarint || s.num > math.MaxUint32 {
		s.bad = true
		return 0
	}
	return uint32(s.num)
}

// uint64 takes the field as a varint.
func (s *scanner) uint64() uint64 {
	if s.typ != typeVarint {
		s.bad = true
		return 0
	}
	return s.num
}

func (s *scanner) boolean() bool { return s.uint64() != 0 }

// data takes the field as bytes, which alias the message and are not nil.
func (s *scanner) data() []byte {
	if s.typ != typeBytes {
		s.bad = true
		return nil
	}
	return s.bytes
}
