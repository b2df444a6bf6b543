package filelock

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func lock(f *os.File, shared bool) error {
	kind := int16(unix.F_WRLCK)
	if shared {
		kind = unix.F_RDLCK
	}
	whole := unix.Flock_t{Type: kind, Whence: io.SeekStart}
	err := fcntl(f, unix.F_OFD_SETLK, &whole)
	if err == unix.EAGAIN || err == unix.EACCES {
		pid, _ := holder(f, kind)
		return &HeldError{Path: f.Name(), PID: pid}
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

// Holder reports whether somebody holds the lock of a file, and which process
// that is, 0 where the system does not tell. It takes no lock.
func Holder(path string) (pid int, held bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	pid, held = holder(f, unix.F_WRLCK)
	return pid, held, nil
}

// holder returns the process that holds a lock which excludes one of this kind.
// The kernel knows it for locks of processes and not for those of open files.
func holder(f *os.File, kind int16) (pid int, held bool) {
	whole := unix.Flock_t{Type: kind, Whence: io.SeekStart}
	if err := fcntl(f, unix.F_OFD_GETLK, &whole); err != nil || whole.Type == unix.F_UNLCK {
		return 0, false
	}
	return max(int(whole.Pid), 0), true
}

func fcntl(f *os.File, cmd int, l *unix.Flock_t) error {
	for {
		if err := unix.FcntlFlock(f.Fd(), cmd, l); err != unix.EINTR {
			return err
		}
	}
}
