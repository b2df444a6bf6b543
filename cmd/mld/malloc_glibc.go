//go:build linux && cgo

package main

/*
#include <stdlib.h>
#include <malloc.h>

// oneArena has glibc's malloc keep one arena instead of up to eight for each
// processor.
static void oneArena(void) {
#ifdef __GLIBC__
	if (getenv("MALLOC_ARENA_MAX") == NULL)
		mallopt(M_ARENA_MAX, 1);
#endif
}
*/
import "C"

// Pebble has its blocks and memtables from malloc, and calls it on whatever thread a
// goroutine runs. Each arena keeps what was freed in it, beneath what was not: a server
// with blocks of 33 MiB had 101 MiB in five arenas, and has 34 MiB in one.
func init() { C.oneArena() }
