package party

import "io/fs"

// owner returns the user that a file belongs to, who is not known.
func owner(fs.FileInfo) (uid int, ok bool) { return 0, false }
