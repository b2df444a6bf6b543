//go:build !linux

package leveldbstore

import (
	"errors"
	"runtime"
	"syscall"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// lock takes goleveldb's own lock, which is the one that C++ LevelDB sees.
func lock(dir string, readOnly bool) (*Lock, error) {
	files, err := storage.OpenFile(dir, readOnly)
	if err != nil {
		return nil, err
	}
	return &Lock{files: files}, nil
}

// holder reports whether err, from goleveldb, says that somebody else has the
// directory. The process is not known.
func holder(err error) (pid int, held bool) {
	const sharingViolation = syscall.Errno(32)
	if runtime.GOOS == "windows" {
		return 0, errors.Is(err, sharingViolation)
	}
	return 0, errors.Is(err, syscall.EWOULDBLOCK)
}
