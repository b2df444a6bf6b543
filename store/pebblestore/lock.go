package pebblestore

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/filelock"
)

// Lock is the lock of a directory, taken before the store in it is opened.
type Lock struct{ held *pebble.Lock }

// LockDirectory takes the lock of a directory, which must be there, without
// waiting and without opening a store: by it a program knows that it will be the
// one to open the store, see [Options.Lock]. It fails with [mld.ErrLocked] while
// somebody else has the lock, in this process or in another one.
func LockDirectory(dir string) (*Lock, error) { return lockDirectory(dir, vfs.Default) }

func lockDirectory(dir string, fs vfs.FS) (*Lock, error) {
	if fs == vfs.Default {
		fs = lockingFS{fs}
	}
	held, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		return nil, lockError(dir, err)
	}
	return &Lock{held}, nil
}

// Close releases a lock that was not handed over to Open.
func (l *Lock) Close() error { return l.held.Close() }

func lockError(dir string, err error) error {
	const advice = "close the store that has it open, or use it through that one's server"
	var held *filelock.HeldError
	switch {
	case errors.As(err, &held) && held.PID != 0:
		return &mld.Error{Code: mld.CodeLocked, Op: "open", Where: dir, Msg: fmt.Sprintf("process %d has it open; %s", held.PID, advice)}
	case held != nil:
		return &mld.Error{Code: mld.CodeLocked, Op: "open", Where: dir, Msg: advice}
	case isLocked(err):
		return &mld.Error{Code: mld.CodeLocked, Op: "open", Where: dir, Msg: advice, Err: err}
	}
	return wrap("open", nil, dir, err)
}

// isLocked reports whether err, from locking a directory, means that somebody
// else has it. Pebble passes on what the system said, bare, and says in words when
// it is this process.
func isLocked(err error) bool {
	var path *iofs.PathError
	if errors.As(err, &path) {
		return false
	}
	var errno syscall.Errno
	return !errors.As(err, &errno) || errno == errLocked || errno == syscall.EACCES
}

// lockingFS is the file system of the system with the locks that are best there.
type lockingFS struct{ vfs.FS }

func (fs lockingFS) Lock(name string) (io.Closer, error) { return lockFile(fs.FS, name) }
