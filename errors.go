package mld

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code is the kind of a failure. It crosses the wire, so the list only grows
// and no code changes its meaning.
type Code string

// The codes, each with the sentinel that [errors.Is] compares.
const (
	CodeNotFound        Code = "NOT_FOUND"
	CodeInvalidArgument Code = "INVALID_ARGUMENT"
	CodeReadOnly        Code = "READONLY"
	CodeReservedKey     Code = "RESERVED_KEY"
	CodeRefused         Code = "REFUSED"
	CodeLimitExceeded   Code = "LIMIT_EXCEEDED"
	CodeUnsupported     Code = "NOT_SUPPORTED"
	CodeClosed          Code = "CLOSED"
	CodeLocked          Code = "LOCKED"
	CodeCorruption      Code = "CORRUPTION"
	CodeIO              Code = "IO_ERROR"
	CodeInternal        Code = "INTERNAL"
	CodeProtocol        Code = "PROTOCOL"
	CodeConnectionLost  Code = "CONNECTION_LOST"
	CodeNotSent         Code = "NOT_SENT"
	CodeOutcomeUnknown  Code = "OUTCOME_UNKNOWN"
	CodeSnapshotLost    Code = "SNAPSHOT_LOST"
	CodeSessionLost     Code = "SESSION_LOST"
)

// These errors answer a question that was asked rightly.
var (
	// ErrNotFound is returned when a key is not there.
	ErrNotFound error = &Error{Code: CodeNotFound}
)

// These errors refuse a call; it had no effect and would be refused again.
var (
	// ErrInvalidArgument is returned when the arguments of a call make no sense.
	ErrInvalidArgument error = &Error{Code: CodeInvalidArgument}
	// ErrReadOnly is returned when a write meets a store that takes none.
	ErrReadOnly error = &Error{Code: CodeReadOnly}
	// ErrReservedKey is returned when a write touches keys that the system
	// keeps for itself.
	ErrReservedKey error = &Error{Code: CodeReservedKey}
	// ErrRefused is returned when a hook of the server said no. The error's
	// text has its reason.
	ErrRefused error = &Error{Code: CodeRefused}
	// ErrLimitExceeded is returned when a call needs more than a limit allows.
	// The error's text names the limit.
	ErrLimitExceeded error = &Error{Code: CodeLimitExceeded}
	// ErrUnsupported is returned when the store, or the server behind a client,
	// cannot do what was asked.
	ErrUnsupported error = &Error{Code: CodeUnsupported}
)

// These errors are returned when a store cannot be opened or goes wrong.
var (
	// ErrClosed is returned when the store, snapshot or iterator was closed.
	ErrClosed error = &Error{Code: CodeClosed}
	// ErrLocked is returned when another process has the directory open.
	ErrLocked error = &Error{Code: CodeLocked}
	// ErrCorruption is returned when stored data is not what was written.
	ErrCorruption error = &Error{Code: CodeCorruption}
	// ErrIO is returned when the system failed to read or write a file.
	ErrIO error = &Error{Code: CodeIO}
	// ErrInternal is returned when code that was called, such as a hook, broke.
	ErrInternal error = &Error{Code: CodeInternal}
)

// These errors are returned by a client.
var (
	// ErrProtocol is returned when the other side sent what it must not.
	ErrProtocol error = &Error{Code: CodeProtocol}
	// ErrConnectionLost is returned when the connection ended before the
	// answer and the client does not retry. A write's error is also either
	// ErrNotSent or ErrOutcomeUnknown.
	ErrConnectionLost error = &Error{Code: CodeConnectionLost}
	// ErrNotSent is returned when a write never left: it had no effect.
	ErrNotSent error = &Error{Code: CodeNotSent}
	// ErrOutcomeUnknown is returned when a write left and no answer came. It
	// may have taken effect, or may yet.
	ErrOutcomeUnknown error = &Error{Code: CodeOutcomeUnknown}
	// ErrSnapshotLost is returned when the state that a snapshot or a strict
	// iterator reads is gone.
	ErrSnapshotLost error = &Error{Code: CodeSnapshotLost}
	// ErrSessionLost is returned when the server does not know, or no longer,
	// the session in which a write was numbered. It refuses the write.
	ErrSessionLost error = &Error{Code: CodeSessionLost}
)

var descriptions = map[Code]string{
	CodeNotFound:        "not found",
	CodeInvalidArgument: "invalid argument",
	CodeReadOnly:        "the store is read-only",
	CodeReservedKey:     "the key is reserved",
	CodeRefused:         "refused",
	CodeLimitExceeded:   "limit exceeded",
	CodeUnsupported:     "not supported",
	CodeClosed:          "closed",
	CodeLocked:          "locked by another process",
	CodeCorruption:      "corrupted",
	CodeIO:              "I/O error",
	CodeInternal:        "internal error",
	CodeProtocol:        "protocol error",
	CodeConnectionLost:  "connection lost",
	CodeNotSent:         "not sent",
	CodeOutcomeUnknown:  "outcome unknown",
	CodeSnapshotLost:    "snapshot lost",
	CodeSessionLost:     "session lost",
}

// Error is a failure with what is known of it. Match it by kind, not by text:
// errors.Is(err, mld.ErrReadOnly).
type Error struct {
	// Code is the kind.
	Code Code
	// Op is what was tried: "get", "put", "open" …
	Op string
	// Key is the key that it was tried on, if it was one. Whoever makes an
	// Error gives it a copy.
	Key []byte
	// Where is the directory or address that it was tried at.
	Where string
	// Msg says what was wrong, in words, where the kind alone does not.
	Msg string
	// Err is the cause.
	Err error
	// Remote is set when the other side said so, and unset when this side
	// concluded so.
	Remote bool
}

// Error returns one line: what was tried, on which key, where, and why it
// failed.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		if e.Key != nil {
			fmt.Fprintf(&b, " %s", quote(e.Key))
		}
		if e.Where != "" {
			b.WriteString(" at " + e.Where)
		}
		b.WriteString(": ")
	} else if e.Where != "" {
		b.WriteString(e.Where + ": ")
	}
	if d, ok := descriptions[e.Code]; ok {
		b.WriteString(d)
	} else {
		b.WriteString(string(e.Code))
	}
	if e.Msg != "" {
		b.WriteString(": " + e.Msg)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of e's code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.bare()
}

// bare reports whether the error has nothing but its code.
func (e *Error) bare() bool {
	return e.Op == "" && e.Key == nil && e.Where == "" && e.Msg == "" && e.Err == nil && !e.Remote
}

// CodeOf returns the code of the first [Error] in err's chain; CodeInternal for
// any other error, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// Outcome says what became of a write.
type Outcome uint8

const (
	// Applied: the write took effect.
	Applied Outcome = iota
	// NotApplied: the write had no effect and will have none.
	NotApplied
	// Unknown: the write may have taken effect, or may yet.
	Unknown
)

// OutcomeOf tells from a write's error what became of it. Whoever retries by
// hand may do so at once after NotApplied, and after Unknown only if the write
// may be done twice.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Applied
	case errors.Is(err, ErrOutcomeUnknown), errors.Is(err, ErrIO), errors.Is(err, ErrCorruption), errors.Is(err, ErrInternal):
		// A store that failed while it wrote may find the write in its log
		// when it is opened again.
		return Unknown
	case errors.Is(err, ErrNotSent), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return NotApplied
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code == CodeConnectionLost || e.Code == CodeProtocol && !e.Remote {
		// The answer was not heard, or not understood.
		return Unknown
	}
	return NotApplied
}

// quote returns key as a Go string literal, cut when it is long.
func quote(key []byte) string {
	const most = 64
	if len(key) > most {
		return fmt.Sprintf("%q… (%d bytes)", key[:most], len(key))
	}
	return fmt.Sprintf("%q", key)
}
