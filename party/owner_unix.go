//go:build unix

package party

import (
	"io/fs"
	"os"
	"syscall"
)

// isPrivate reports whether a file belongs to this user and nobody else may use it.
func isPrivate(info fs.FileInfo) bool {
	uid, ok := owner(info)
	return ok && uid == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}

// owner returns the user that a file belongs to.
func owner(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
