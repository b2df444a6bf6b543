// Package unixsocket listens on unix sockets that only their owner can connect
// to, and knows how long their paths may be.
package unixsocket

import "syscall"

// MaxPath is how many bytes the path of a unix socket may have: the system keeps
// it in a field of fixed size, with a zero at its end.
const MaxPath = len(syscall.RawSockaddrUnix{}.Path) - 1
