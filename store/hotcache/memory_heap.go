//go:build !linux && !darwin

package hotcache

func allocate(size int) []byte { return make([]byte, size) }

func free([]byte) {}
