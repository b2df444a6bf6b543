//go:build !linux

package leveldbstore

import (
	"errors"
	"io"
	"runtime"
	"syscall"
)

// lock takes nothing: goleveldb's own lock is the one that C++ LevelDB sees.
func lock(string, bool) (io.Closer, error) { return noLock{}, nil }

type noLock struct{}

func (noLock) Close() error { return nil }

// holder reports whether err, from goleveldb, says that somebody else has the
// directory. The process is not known.
func holder(err error) (pid int, held bool) {
	const sharingViolation = syscall.Errno(32)
	if runtime.GOOS == "windows" {
		return 0, errors.Is(err, sharingViolation)
	}
	return 0, errors.Is(err, syscall.EWOULDBLOCK)
}
