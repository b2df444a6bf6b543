package pebblestore

import (
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardedFS keeps from Pebble that its log cannot be written. Pebble answers that
// with a panic while others hold its locks, which nobody can recover from. So a
// fault of a log, or of a directory's fsync, becomes the failure of the store, and
// Pebble is told that all is well. No write is acknowledged then, for each looks
// for a failure when Pebble is done with it.
//
// Nothing more reaches the logs after the failure, so that the one that it struck
// is the last, and whatever is at its end counts as cut off when it is read again.
type guardedFS struct {
	vfs.FS
	failure *failure
}

// Unwrap implements [vfs.FS].
func (fs guardedFS) Unwrap() vfs.FS { return fs.FS }

// Create implements [vfs.FS].
func (fs guardedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.openLog(name, func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

// ReuseForWrite implements [vfs.FS].
func (fs guardedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.openLog(name, func() (vfs.File, error) { return fs.FS.ReuseForWrite(old, name, c) })
}

func (fs guardedFS) openLog(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if filepath.Ext(name) != ".log" {
		return open()
	}
	if !fs.failure.failed() {
		f, err := open()
		if err == nil {
			return &guardedFile{f, fs.failure}, nil
		}
		fs.failure.set(err)
	}
	// Pebble needs a file. Nobody will read it.
	return vfs.NewMem().Create("log", vfs.WriteCategoryUnspecified)
}

// OpenDir implements [vfs.FS].
func (fs guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{f, fs.failure}, nil
}

// guardedFile is a log or a directory.
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
