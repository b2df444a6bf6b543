package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/multileveldown/mld"
)

const diskFull = "the disk is full"

// wrap turns an error of Pebble's into one of ours. Nil stays nil, and what is
// ours already, or a context's, stays as it is.
func (s *Store) wrap(op string, key []byte, err error) error {
	return wrap(op, key, s.dir, err)
}

func wrap(op string, key []byte, dir string, err error) error {
	var ours *mld.Error
	switch {
	case err == nil, errors.As(err, &ours), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, pebble.ErrNotFound):
		return &mld.Error{Code: mld.CodeNotFound, Op: op, Key: append([]byte{}, key...)}
	}
	e := &mld.Error{Code: mld.CodeIO, Op: op, Key: clone(key), Where: dir, Err: err}
	switch {
	case errors.Is(err, pebble.ErrReadOnly):
		e.Code = mld.CodeReadOnly
	case errors.Is(err, pebble.ErrClosed):
		e.Code = mld.CodeClosed
	case pebble.IsCorruptionError(err):
		e.Code = mld.CodeCorruption
	case errors.Is(err, syscall.ENOSPC):
		e.Msg = diskFull
	}
	return e
}

// first returns the first error that is not nil.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// failure is why a store cannot go on, once that is so.
type failure struct {
	err atomic.Pointer[error]
}

// set notes the first failure; the others follow from it.
func (f *failure) set(err error) { f.err.CompareAndSwap(nil, &err) }

func (f *failure) failed() bool { return f.err.Load() != nil }

// error returns the failure as the error of a call, nil if there was none.
func (f *failure) error(op, dir string) error {
	err := f.err.Load()
	if err == nil {
		return nil
	}
	msg := "the store failed and must be opened again"
	if errors.Is(*err, syscall.ENOSPC) {
		msg = diskFull + "; " + msg
	}
	return &mld.Error{Code: mld.CodeIO, Op: op, Where: dir, Msg: msg, Err: *err}
}

// logger passes on what Pebble logs. What Pebble takes for its end it makes the
// failure of the store, and returns: Pebble then passes the error up, or forgets
// it and the store does not.
type logger struct {
	log     *slog.Logger
	failure *failure
}

func (l *logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l *logger) Errorf(format string, args ...any) {
	l.log.Error(fmt.Sprintf(format, args...))
}

func (l *logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			err = &fatalError{err.Error(), cause}
		}
	}
	l.failure.set(err)
	l.log.Error("the store has failed", "error", err)
}

// fatalError is a message with the error that it was made of.
type fatalError struct {
	msg   string
	cause error
}

func (e *fatalError) Error() string { return e.msg }
func (e *fatalError) Unwrap() error { return e.cause }
