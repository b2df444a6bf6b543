package party

import "io/fs"

// isPrivate reports true: the folder for temporary files is the user's own.
func isPrivate(fs.FileInfo) bool { return true }

// owner returns the user that a file belongs to, who is not known.
func owner(fs.FileInfo) (uid int, ok bool) { return 0, false }
