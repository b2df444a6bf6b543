//go:build !windows

package pebblestore

import "syscall"

// errLocked is what fcntl says of a file that another process has locked.
const errLocked = syscall.EAGAIN
