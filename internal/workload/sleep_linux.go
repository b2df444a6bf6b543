package workload

import (
	"syscall"
	"time"
)

// sleep waits, or less when a signal comes. The runtime's timers wake a process
// that has nothing else to do up to a millisecond late, which is longer than
// most of what is measured.
func sleep(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&t, nil) //nolint:errcheck // the caller looks at the clock
}
