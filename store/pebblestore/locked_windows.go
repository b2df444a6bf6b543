package pebblestore

import "syscall"

// errLocked is what CreateFile says of a file that somebody has open for himself
// alone: ERROR_SHARING_VIOLATION.
const errLocked = syscall.Errno(32)
