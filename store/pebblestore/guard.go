package pebblestore

import (
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardedFS keeps from Pebble that a log, or the manifest, cannot be written.
// Pebble answers that with a panic while others hold its locks, which nobody can
// recover from, or with the end of the process. So a fault of such a file, or of a
// directory's fsync, becomes the failure of the store, and Pebble is told that all
// is well. No write is acknowledged then, for each looks for a failure when Pebble
// is done with it.
//
// From the failure on the directory stays as it is: no log, manifest or marker is
// written, and nothing is removed. Pebble may go on to write tables and believe
// that they replace logs, but whoever opens the store again finds the logs, of
// which the one that the failure struck is the last, so that whatever is at its
// end counts as cut off.
type guardedFS struct {
	vfs.FS
	failure *failure
	syncs   *syncs
}

// Unwrap implements [vfs.FS].
func (fs guardedFS) Unwrap() vfs.FS { return fs.FS }

// Create implements [vfs.FS].
func (fs guardedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.create(name, func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

// ReuseForWrite implements [vfs.FS].
func (fs guardedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.create(name, func() (vfs.File, error) { return fs.FS.ReuseForWrite(old, name, c) })
}

func (fs guardedFS) create(name string, open func() (vfs.File, error)) (vfs.File, error) {
	base := filepath.Base(name)
	isLog := strings.HasSuffix(base, ".log")
	if !isLog && !strings.HasPrefix(base, "MANIFEST-") && !strings.HasPrefix(base, "marker.") {
		return open()
	}
	if !fs.failure.failed() {
		f, err := open()
		if err == nil {
			guarded := guardedFile{f, fs.failure}
			if isLog {
				return fs.syncs.newLogFile(guarded), nil
			}
			return &guarded, nil
		}
		fs.failure.set(err)
	}
	// Pebble needs a file. Nobody will read it.
	return vfs.NewMem().Create("file", vfs.WriteCategoryUnspecified)
}

// Remove implements [vfs.FS].
func (fs guardedFS) Remove(name string) error {
	if fs.failure.failed() {
		return nil
	}
	return fs.FS.Remove(name)
}

// OpenDir implements [vfs.FS].
func (fs guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{f, fs.failure}, nil
}

// guardedFile is a log, a manifest, a marker or a directory.
type guardedFile struct {
	vfs.File
	failure *failure
}

// try does something that may fail, unless something has failed before.
func (f *guardedFile) try(do func() error) {
	if f.failure.failed() {
		return
	}
	if err := do(); err != nil {
		f.failure.set(err)
	}
}

// Write implements [vfs.File].
func (f *guardedFile) Write(p []byte) (int, error) {
	f.try(func() error { _, err := f.File.Write(p); return err })
	return len(p), nil
}

// Sync implements [vfs.File].
func (f *guardedFile) Sync() error {
	f.try(f.File.Sync)
	return nil
}

// SyncData implements [vfs.File].
func (f *guardedFile) SyncData() error {
	f.try(f.File.SyncData)
	return nil
}

// SyncTo implements [vfs.File].
func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	f.try(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, nil
}

// Preallocate implements [vfs.File].
func (f *guardedFile) Preallocate(offset, length int64) error {
	f.try(func() error { return f.File.Preallocate(offset, length) })
	return nil
}

// Close implements [vfs.File].
func (f *guardedFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.failure.set(err)
	}
	return nil
}
