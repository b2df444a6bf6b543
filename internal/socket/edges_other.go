//go:build !linux

package socket

import "syscall"

// What is relied on is true of kqueue too, but has not been tried.
const edges = false

func read(int, []byte) (int, error)  { return 0, syscall.ENOTSUP }
func write(int, []byte) (int, error) { return 0, syscall.ENOTSUP }
