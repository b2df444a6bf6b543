package party

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// locateByDescriptor returns a path to the directory that is short however long its
// own is: by way of an open descriptor of it. It reports whether there is one,
// which takes a proc file system.
func locateByDescriptor(dir, name string) (place, bool) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return place{}, false
	}
	folder := fmt.Sprintf("/proc/self/fd/%d", fd)
	var direct, by unix.Stat_t
	if unix.Fstat(fd, &direct) != nil || unix.Stat(folder, &by) != nil || direct.Ino != by.Ino || direct.Dev != by.Dev {
		unix.Close(fd)
		return place{}, false
	}
	return place{folder + "/" + name, func() { unix.Close(fd) }}, true
}
