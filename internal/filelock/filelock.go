// Package filelock takes the lock by which LevelDB directories are owned.
//
// C++ LevelDB, and with it every Node package that is built on it, locks its
// LOCK file with fcntl(F_SETLK). Such a lock belongs to the process and is gone
// as soon as the process closes any descriptor of the file. On Linux there is a
// kind that excludes it and is excluded by it but belongs to one open file,
// fcntl(F_OFD_SETLK), so it also excludes a second user in the same process;
// that is the one taken here.
//
// The package has code for Linux only. Elsewhere flock, which other libraries
// take, is not blind to fcntl locks, or files are locked in another way.
package filelock

import "strconv"

// HeldError is returned when somebody else holds the lock.
type HeldError struct {
	// Path is the locked file.
	Path string
	// PID is the process that holds the lock, 0 where the system does not tell.
	PID int
}

// Error names the file and, where it is known, the process.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return e.Path + " is locked"
	}
	return e.Path + " is locked by process " + strconv.Itoa(e.PID)
}
