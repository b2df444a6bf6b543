package pebblestore

import (
	"bytes"
	"testing"
)

// TestStoredKeys compares all pairs of short keys with their stored forms.
func TestStoredKeys(t *testing.T) {
	keys := [][]byte{{}}
	for i := 0; len(keys[i]) < 4; i++ {
		for _, c := range []byte{0, 1, 0xff} {
			keys = append(keys, append(bytes.Clone(keys[i]), c))
		}
	}
	for _, a := range keys {
		if len(stored(a)) == 0 || !bytes.Equal(original(stored(a)), a) {
			t.Fatalf("%q is stored as %q, which is %q", a, stored(a), original(stored(a)))
		}
		for _, b := range keys {
			if bytes.Compare(a, b) != bytes.Compare(stored(a), stored(b)) {
				t.Fatalf("%q and %q are stored in another order, as %q and %q", a, b, stored(a), stored(b))
			}
		}
	}
}
