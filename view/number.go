package view

import (
	"encoding/binary"
	"fmt"
	"math"
)

// These codecs take eight bytes each, big-endian, and sort as the numbers do.
var (
	Uint64 Codec[uint64] = uint64Codec{}

	// Int64 flips the sign bit, which brings the negative numbers first.
	Int64 Codec[int64] = int64Codec{}

	// Float64 takes the IEEE 754 bits and flips the sign bit of the positive
	// and every bit of the negative numbers. Its order is totalOrder of that
	// standard: -0 before +0, and NaNs beyond the infinities, by their sign.
	Float64 Codec[float64] = float64Codec{}
)

const signBit = 1 << 63

type uint64Codec struct{}

func (uint64Codec) Append(dst []byte, v uint64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, v), nil
}

func (uint64Codec) Decode(src []byte) (uint64, error) {
	if len(src) != 8 {
		return 0, fmt.Errorf("a number takes 8 bytes, not %d", len(src))
	}
	return binary.BigEndian.Uint64(src), nil
}

type int64Codec struct{}

func (int64Codec) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^signBit), nil
}

func (int64Codec) Decode(src []byte) (int64, error) {
	u, err := uint64Codec{}.Decode(src)
	if err != nil {
		return 0, err
	}
	return int64(u ^ signBit), nil
}

type float64Codec struct{}

func (float64Codec) Append(dst []byte, v float64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, sortableBits(v)), nil
}

func (float64Codec) Decode(src []byte) (float64, error) {
	u, err := uint64Codec{}.Decode(src)
	if err != nil {
		return 0, err
	}
	return fromSortableBits(u), nil
}

// sortableBits returns the bits of f, changed so that they sort as f does.
func sortableBits(f float64) uint64 {
	u := math.Float64bits(f)
	if u&signBit != 0 {
		return ^u
	}
	return u | signBit
}

func fromSortableBits(u uint64) float64 {
	if u&signBit != 0 {
		return math.Float64frombits(u ^ signBit)
	}
	return math.Float64frombits(^u)
}
