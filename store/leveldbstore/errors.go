package leveldbstore

import (
	"bytes"
	"errors"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"

	"github.com/multileveldown/mld"
)

// fail returns err, which goleveldb gave, in the terms of package mld. The key
// may be nil. A nil err stays nil.
func (s *Store) fail(op string, key []byte, err error) error { return fail(op, key, s.dir, err) }

func fail(op string, key []byte, dir string, err error) error {
	if err == nil {
		return nil
	}
	e := &mld.Error{Code: code(err), Op: op, Where: dir, Err: err}
	if key != nil {
		e.Key = bytes.Clone(key)
	}
	switch e.Code {
	case mld.CodeNotFound, mld.CodeClosed:
		e.Err = nil // it says the same
	}
	return e
}

func code(err error) mld.Code {
	switch {
	case errors.Is(err, leveldb.ErrNotFound):
		return mld.CodeNotFound
	case errors.Is(err, leveldb.ErrClosed),
		errors.Is(err, leveldb.ErrSnapshotReleased),
		errors.Is(err, leveldb.ErrIterReleased):
		return mld.CodeClosed
	case errors.Is(err, leveldb.ErrReadOnly):
		return mld.CodeReadOnly
	case ldberrors.IsCorrupted(err):
		return mld.CodeCorruption
	default:
		// What is left comes from the file system.
		return mld.CodeIO
	}
}
