package pebblestore

// Pebble's tables cannot hold the empty key: in the columnar format, writing it to
// one panics, in the background, and again whenever the directory is opened. So
// every key that has no other bytes than zeros is stored with one zero more: the
// empty key as "\x00", that one as "\x00\x00", and so on. All other keys come
// after these, and are stored as they are, so the order is kept, and so are the
// answers to "is it less than this bound", if the bound is stored alike.

// stored returns the key under which Pebble has key, which may be key itself.
func stored(key []byte) []byte {
	if !zeros(key) {
		return key
	}
	return make([]byte, len(key)+1)
}

// storedBound is stored for a bound, where nil is none.
func storedBound(bound []byte) []byte {
	if bound == nil {
		return nil
	}
	return stored(bound)
}

// original returns the key that Pebble has as key: all of it or a part.
func original(key []byte) []byte {
	if !zeros(key) {
		return key
	}
	return key[:len(key)-1]
}

// zeros reports whether a key has no other bytes than zeros. Most keys begin with
// another one.
func zeros(key []byte) bool {
	for _, c := range key {
		if c != 0 {
			return false
		}
	}
	return true
}
