//go:build unix && !linux

package filelock

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func lock(f *os.File, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return &HeldError{Path: f.Name()}
		default:
			return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
}

// Holder reports whether somebody holds the lock of a file, and which process
// that is, 0 where the system does not tell. It takes the lock for a moment.
func Holder(path string) (pid int, held bool, err error) { return tryHolder(path) }
