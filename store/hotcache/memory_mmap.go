//go:build linux || darwin

package hotcache

import "golang.org/x/sys/unix"

// allocate returns memory outside of the garbage-collected heap, which would else
// be let grow by as much again before it is collected.
func allocate(size int) []byte {
	p, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, size)
	}
	return p
}

// free gives back what allocate returned. Memory of the heap is not known to it,
// and is left to the collector.
func free(p []byte) { _ = unix.Munmap(p) }
