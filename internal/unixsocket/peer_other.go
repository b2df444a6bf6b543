//go:build !linux

package unixsocket

import "net"

// PeerPID returns 0: the process at the other end is not known.
func PeerPID(net.Conn) int { return 0 }
