package filelock

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// lock locks the whole of a file.
func lock(f *os.File, shared bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, ^uint32(0), ^uint32(0), &windows.Overlapped{})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return &HeldError{Path: f.Name()}
	default:
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
}

// Holder reports whether somebody holds the lock of a file, and which process
// that is, 0 where the system does not tell. It takes the lock for a moment.
func Holder(path string) (pid int, held bool, err error) { return tryHolder(path) }
