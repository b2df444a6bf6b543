package pebblestore

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/multileveldown/mld/internal/filelock"
)

// lockFile takes a lock that excludes Pebble's own, which is of the process. Unlike
// that it stays when somebody else in the process closes the file, as does who
// finds it locked.
func lockFile(_ vfs.FS, name string) (io.Closer, error) {
	l, err := filelock.Exclusive(name)
	if err != nil {
		return nil, err
	}
	return l, nil
}
