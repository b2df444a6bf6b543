// Package filelock takes the lock by which LevelDB directories are owned.
//
// C++ LevelDB, and with it every Node package that is built on it, locks its
// LOCK file with fcntl(F_SETLK). Such a lock belongs to the process and is gone
// as soon as the process closes any descriptor of the file. On Linux there is a
// kind that excludes it and is excluded by it but belongs to one open file,
// fcntl(F_OFD_SETLK), so it also excludes a second user in the same process;
// that is the one taken here.
//
// On other systems of the Unix family the lock is that of flock, which there is not
// blind to those of fcntl, and on Windows one of LockFileEx.
package filelock

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
)

// HeldError is returned when somebody else holds the lock.
type HeldError struct {
	// Path is the locked file.
	Path string
	// PID is the process that holds the lock, 0 where the system does not tell.
	PID int
}

// Error names the file and, where it is known, the process.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return e.Path + " is locked"
	}
	return e.Path + " is locked by process " + strconv.Itoa(e.PID)
}

// Lock is a lock that is held. It ends when it is closed or the process ends.
type Lock struct {
	f *os.File
}

// Exclusive takes the lock for its holder alone, without waiting. The file is
// created if it is not there. A lock held by somebody else is a [*HeldError].
func Exclusive(path string) (*Lock, error) {
	return acquire(path, os.O_RDWR, false)
}

// Shared takes the lock together with others that take it shared, else as
// [Exclusive] does. It needs no permission to write to a file that is there.
func Shared(path string) (*Lock, error) {
	return acquire(path, os.O_RDONLY, true)
}

// Close releases the lock. The file stays: whoever deletes it takes the lock
// away from those who hold it.
func (l *Lock) Close() error { return l.f.Close() }

func acquire(path string, flag int, shared bool) (*Lock, error) {
	for {
		f, err := open(path, flag)
		if err != nil {
			return nil, err
		}
		if err := lock(f, shared); err != nil {
			f.Close()
			return nil, err
		}
		// Another program may have deleted the file before it was locked. What
		// is locked then is not what others will find under this name.
		current, err := isCurrent(f, path)
		if err != nil {
			f.Close()
			return nil, err
		}
		if current {
			return &Lock{f}, nil
		}
		f.Close()
	}
}

// open opens a file that exists without asking for more than flag needs: it may
// be on a read-only file system.
func open(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(path, flag|os.O_CREATE, 0o644)
	}
	return f, err
}

func isCurrent(f *os.File, path string) (bool, error) {
	locked, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(locked, named), nil
}
