//go:build unix

package party

import "syscall"

// probeSignal is not delivered: to send it tells whether the process is there.
const probeSignal = syscall.Signal(0)
