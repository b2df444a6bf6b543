//go:build !linux

package workload

import "time"

// sleep waits.
func sleep(d time.Duration) { time.Sleep(d) }
