package filelock

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Lock is a lock that is held. It ends when it is closed or the process ends.
type Lock struct {
	f *os.File
}

// Exclusive takes the lock for its holder alone, without waiting. The file is
// created if it is not there. A lock held by somebody else is a [*HeldError].
func Exclusive(path string) (*Lock, error) {
	return acquire(path, os.O_RDWR, unix.F_WRLCK)
}

// Shared takes the lock together with others that take it shared, else as
// [Exclusive] does. It needs no permission to write to a file that is there.
func Shared(path string) (*Lock, error) {
	return acquire(path, os.O_RDONLY, unix.F_RDLCK)
}

// Close releases the lock. The file stays: whoever deletes it takes the lock
// away from those who hold it.
func (l *Lock) Close() error { return l.f.Close() }

func acquire(path string, flag int, kind int16) (*Lock, error) {
	for {
		f, err := open(path, flag)
		if err != nil {
			return nil, err
		}
		if err := lock(f, kind); err != nil {
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

func lock(f *os.File, kind int16) error {
	whole := unix.Flock_t{Type: kind, Whence: io.SeekStart}
	err := fcntl(f, unix.F_OFD_SETLK, &whole)
	if err == unix.EAGAIN || err == unix.EACCES {
		return &HeldError{Path: f.Name(), PID: holder(f, kind)}
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

// holder returns the process that holds the lock. The kernel knows it for locks
// of processes and not for those of open files.
func holder(f *os.File, kind int16) int {
	whole := unix.Flock_t{Type: kind, Whence: io.SeekStart}
	if err := fcntl(f, unix.F_OFD_GETLK, &whole); err != nil || whole.Type == unix.F_UNLCK || whole.Pid < 0 {
		return 0
	}
	return int(whole.Pid)
}

func fcntl(f *os.File, cmd int, l *unix.Flock_t) error {
	for {
		if err := unix.FcntlFlock(f.Fd(), cmd, l); err != unix.EINTR {
			return err
		}
	}
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
