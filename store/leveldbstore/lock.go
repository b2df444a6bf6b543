package leveldbstore

import (
	"io"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// Lock is the lock of a directory, taken before the store in it is opened.
type Lock struct {
	// One of the two is set: a lock of this package's own, or goleveldb's
	// storage, which comes with one.
	held  io.Closer
	files storage.Storage
}

// LockDirectory takes the lock of a directory, which must be there, without
// waiting and without opening a store: by it a program knows that it will be the
// one to open the store, see [Options.Lock]. It fails with [mld.ErrLocked] while
// somebody else has the lock, in this process or in another one, Node included.
func LockDirectory(dir string) (*Lock, error) {
	l, err := lock(dir, false)
	if err != nil {
		return nil, openError(dir, err)
	}
	return l, nil
}

// Close releases a lock that was not handed over to Open.
func (l *Lock) Close() error {
	if l.files != nil {
		return l.files.Close()
	}
	return l.held.Close()
}

// storage returns the storage in a directory that l is the lock of. Closing that
// releases a lock that came with it, and to close l then does nothing.
func (l *Lock) storage(dir string, readOnly bool) (storage.Storage, error) {
	if l.files == nil {
		return storage.OpenFile(dir, readOnly)
	}
	files := l.files
	l.files, l.held = nil, noLock{}
	return files, nil
}

// noLock is nothing to release.
type noLock struct{}

func (noLock) Close() error { return nil }
