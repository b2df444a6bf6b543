package socket

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Busy polling: who waits for input looks for it again and again for a while before
// it sleeps. To sleep and be woken takes tens of microseconds where a processor has
// to be woken for it, several times what a get takes; and a kernel that sees two
// programs run by turns puts both on one processor, where neither works while the
// other does.
//
// Linux does likewise below the system call for network cards (SO_BUSY_POLL of
// socket(7)); this is for sockets of the same machine, too.

const (
	// MaxBusyPoll is how long a wait should poll at the most: deadlines, and who
	// closes the socket, have to wait for it.
	MaxBusyPoll = 10 * time.Millisecond

	// patience bounds how many waits go by without busy polling after it was in
	// vain several times in a row, 2^patience.
	patience = 8
)

// polling is set while somebody in this program polls: more would take processors
// from each other, and from who is to answer.
var polling atomic.Bool

// Busy decides when to poll, by how it went before: a wait that was in vain doubles
// the number of those that go by until it is tried again. It is used by one
// goroutine at a time. The zero value never polls.
type Busy struct {
	// Most is for how long a wait polls, at the most; 0 is not at all.
	Most time.Duration

	misses int // in a row
	skip   int // waits to go by
}

// poll calls read until it returns something other than nothing, false, or the time
// is over. It reports whether read did.
func (b *Busy) poll(read func() bool) bool {
	switch {
	case b.Most <= 0:
		return false
	case b.skip > 0:
		b.skip--
		return false
	case runtime.GOMAXPROCS(0) == 1: // takes a lock of the scheduler
		return false
	case !polling.CompareAndSwap(false, true):
		return false
	}
	defer polling.Store(false)
	start := time.Now()
	for {
		runtime.Gosched() // others go first
		some := read()
		late := time.Since(start) > b.Most
		switch {
		case some && !late:
			b.misses = 0
			return true
		case some || late:
			b.misses = min(b.misses+1, patience)
			b.skip = 1<<b.misses - 1
			return some
		}
	}
}
