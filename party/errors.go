package party

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/multileveldown/mld"
)

// explain returns err, from a directory that was to be hosted, with what to do about
// it, for the usual failures.
func explain(dir string, err error) error {
	msg := ""
	switch {
	case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS), isLockRefused(err):
		msg = "its file system has no locks, without which no process can know that it is the only host; move the store, or have one process serve it"
	case errors.Is(err, syscall.EROFS):
		msg = "its file system is read-only, so it cannot be hosted"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		msg = "the disk is full"
	case errors.Is(err, syscall.ENOTDIR):
		msg = "a part of the path is not a directory"
	case errors.Is(err, fs.ErrPermission):
		msg = "this user may not write to it"
		if info, serr := os.Stat(dir); serr == nil {
			if uid, ok := owner(info); ok && uid != os.Geteuid() {
				msg = fmt.Sprintf("it belongs to user %d, and this is user %d", uid, os.Geteuid())
			}
		}
	}
	var e *mld.Error
	switch {
	case errors.As(err, &e) && msg == "":
		return err
	case errors.As(err, &e):
		d := *e
		d.Msg = msg
		return &d
	}
	return &mld.Error{Code: mld.CodeIO, Op: "join", Where: dir, Msg: msg, Err: err}
}

// isLockRefused reports whether err is of a system that takes a request to lock for
// one that makes no sense.
func isLockRefused(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path) && path.Op == "lock" && errors.Is(err, syscall.EINVAL)
}
