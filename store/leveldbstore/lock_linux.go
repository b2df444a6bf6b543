package leveldbstore

import (
	"errors"
	"path/filepath"
	"syscall"

	"github.com/multileveldown/mld/internal/filelock"
)

// lock takes the lock that C++ LevelDB sees and goleveldb does not take.
func lock(dir string, readOnly bool) (*Lock, error) {
	take := filelock.Exclusive
	if readOnly {
		take = filelock.Shared
	}
	l, err := take(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, err
	}
	return &Lock{held: l}, nil
}

// holder reports whether err, from lock or goleveldb, says that somebody else
// has the directory, and, where that is known, the process.
func holder(err error) (pid int, held bool) {
	var e *filelock.HeldError
	if errors.As(err, &e) {
		return e.PID, true
	}
	return 0, errors.Is(err, syscall.EWOULDBLOCK)
}
