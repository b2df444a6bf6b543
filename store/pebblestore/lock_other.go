//go:build !linux

package pebblestore

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func lockFile(fs vfs.FS, name string) (io.Closer, error) { return fs.Lock(name) }
