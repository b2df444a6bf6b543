package workload

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/multileveldown/mld"
)

// digits is how many of them follow the prefix in a key, maxKeys how many keys
// they tell apart.
const (
	digits  = 10
	maxKeys = 10_000_000_000
)

// appendKey appends the key of an index.
func appendKey(dst []byte, prefix string, index uint64) []byte {
	dst = append(dst, prefix...)
	dst = append(dst, "0000000000"...)
	for i := len(dst) - 1; index > 0; i-- {
		dst[i] += byte(index % 10)
		index /= 10
	}
	return dst
}

// parseKey returns the index of a key, and whether it is one.
func parseKey(key []byte, prefix string) (index uint64, ok bool) {
	if len(key) != len(prefix)+digits || string(key[:len(prefix)]) != prefix {
		return 0, false
	}
	for _, c := range key[len(prefix):] {
		if c < '0' || c > '9' {
			return 0, false
		}
		index = index*10 + uint64(c-'0')
	}
	return index, true
}

// keyRange is the least range of keys that has all those of the prefix.
func keyRange(prefix string) mld.Range {
	return mld.Range{
		GTE: appendKey(nil, prefix, 0),
		LTE: []byte(prefix + strings.Repeat("9", digits)),
	}
}

// A value begins with its version, in as many bytes as there is room for, and
// goes on with bytes that follow from its index, its version and its length.

// versionBytes returns how many bytes of a value are its version.
func versionBytes(size int) int {
	switch {
	case size >= 16:
		return 8
	case size >= 2:
		return 1
	default:
		return 0
	}
}

// golden is 2^64 over the golden ratio.
const golden = 0x9e3779b97f4a7c15

// fillSeed returns what the bytes after the version follow from.
func fillSeed(index, version uint64, size int) uint64 {
	h := (index+1)*golden ^ bits.RotateLeft64(version*0xbf58476d1ce4e5b9, 32) ^ uint64(size)
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// fillWord returns the word after x, and its bytes as they are stored.
func fillWord(x uint64) (next, word uint64) {
	x += golden
	return x, x ^ x>>32
}

// fillValue makes all of value that of an index and a version.
func fillValue(value []byte, index, version uint64) {
	var header [8]byte
	binary.LittleEndian.PutUint64(header[:], version)
	n := copy(value, header[:versionBytes(len(value))])
	x, word := fillSeed(index, readVersion(value), len(value)), uint64(0)
	rest := value[n:]
	for len(rest) >= 8 {
		x, word = fillWord(x)
		binary.LittleEndian.PutUint64(rest, word)
		rest = rest[8:]
	}
	_, word = fillWord(x)
	for i := range rest {
		rest[i] = byte(word >> (8 * i))
	}
}

// readVersion returns the version that a value claims.
func readVersion(value []byte) uint64 {
	var header [8]byte
	copy(header[:], value[:versionBytes(len(value))])
	return binary.LittleEndian.Uint64(header[:])
}

// validValue reports whether value is one that [fillValue] made for an index,
// whatever its version.
func validValue(value []byte, index uint64) bool {
	x, word := fillSeed(index, readVersion(value), len(value)), uint64(0)
	rest := value[versionBytes(len(value)):]
	for len(rest) >= 8 {
		x, word = fillWord(x)
		if binary.LittleEndian.Uint64(rest) != word {
			return false
		}
		rest = rest[8:]
	}
	_, word = fillWord(x)
	for i := range rest {
		if rest[i] != byte(word>>(8*i)) {
			return false
		}
	}
	return true
}
