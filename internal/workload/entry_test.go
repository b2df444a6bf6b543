package workload

import (
	"bytes"
	"testing"
)

func TestKeys(t *testing.T) {
	for index, want := range map[uint64]string{0: "p0000000000", 7: "p0000000007", 1234567890: "p1234567890", maxKeys - 1: "p9999999999"} {
		key := appendKey(nil, "p", index)
		if string(key) != want {
			t.Errorf("key %d is %q, want %q", index, key, want)
		}
		if got, ok := parseKey(key, "p"); !ok || got != index {
			t.Errorf("%q is key %d, %v", key, got, ok)
		}
		if r := keyRange("p"); !r.Contains(key) {
			t.Errorf("%q is not in the range", key)
		}
	}
	for _, key := range []string{"", "p", "p000000000", "p00000000000", "p000000000x", "q0000000000"} {
		if got, ok := parseKey([]byte(key), "p"); ok {
			t.Errorf("%q is key %d", key, got)
		}
	}
}

func TestValues(t *testing.T) {
	for size := range 70 {
		value := make([]byte, size)
		fillValue(value, 5, 1<<40+3)
		if !validValue(value, 5) {
			t.Fatalf("a value of %d bytes is not valid", size)
		}
		if size < 8 {
			continue // too short to tell all apart
		}
		if size >= 16 && readVersion(value) != 1<<40+3 {
			t.Errorf("a value of %d bytes has the version %d", size, readVersion(value))
		}
		if validValue(value, 6) {
			t.Errorf("a value of %d bytes is valid for another key", size)
		}
		if validValue(value[:size-1], 5) || validValue(append(bytes.Clone(value), 0), 5) {
			t.Errorf("a value of %d bytes is valid with another length", size)
		}
		for bit := range size * 8 {
			value[bit/8] ^= 1 << (bit % 8)
			if validValue(value, 5) {
				t.Errorf("a value of %d bytes is valid with bit %d changed", size, bit)
			}
			value[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func BenchmarkValidValue(b *testing.B) {
	value := make([]byte, 100)
	fillValue(value, 1, 1)
	for b.Loop() {
		if !validValue(value, 1) {
			b.Fatal("not valid")
		}
	}
}
