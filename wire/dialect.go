package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/multileveldown/mld"
)

// Dialect is one of the two ways in which the npm packages use the wire. They
// differ in the messages of iterators, in the text of errors and in what an
// empty key is.
type Dialect uint8

const (
	// Auto is, for a server, to tell the dialect by the first messages of a
	// connection (see [Detect]). It is not a dialect itself.
	Auto Dialect = iota
	// Multileveldown is the dialect of npm multileveldown 5.
	Multileveldown
	// ManyLevel is the dialect of npm many-level 1 and 2.
	ManyLevel
)

var dialectNames = [...]string{Auto: "auto", Multileveldown: "multileveldown", ManyLevel: "many-level"}

// String returns "auto", "multileveldown" or "many-level".
func (d Dialect) String() string {
	if int(d) < len(dialectNames) {
		return dialectNames[d]
	}
	return fmt.Sprintf("dialect %d", uint8(d))
}

// ParseDialect returns the dialect of a name; see [Dialect.String].
func ParseDialect(name string) (Dialect, error) {
	for d, n := range dialectNames {
		if n == name {
			return Dialect(d), nil
		}
	}
	return Auto, &mld.Error{Code: mld.CodeInvalidArgument, Msg: fmt.Sprintf("no dialect %q: it is one of %s", name, strings.Join(dialectNames[:], ", "))}
}

// Detect tells the dialect of a connection from the body of a message that a
// client sent on it. It returns Auto for a message that does not tell: a call
// with an id from 1 on is the first of a many-level guest, or what a
// multileveldown client that reconnects has left to ask. A new client's first
// message always tells.
func Detect(body []byte) Dialect {
	if len(body) == 0 {
		return Auto
	}
	s := scanner{rest: body[1:]}
	hasID, idZero, hasConsumed := false, false, false
	var named Dialect
	for s.next() {
		switch {
		case s.field == fieldID && s.typ == typeVarint:
			hasID, idZero = true, s.num == 0
		case s.field == fieldConsumed && s.typ == typeVarint:
			hasConsumed = true
		case s.field == fieldHelloDialect && s.typ == typeVarint && s.num <= uint64(ManyLevel):
			named = Dialect(s.num)
		}
	}
	if s.bad {
		return Auto
	}
	switch body[0] {
	case TagHello:
		return named
	case TagIteratorClose, TagIteratorAck, TagIteratorSeek:
		return ManyLevel
	case TagIterator:
		if hasConsumed {
			return ManyLevel
		}
		return Multileveldown
	case TagGet, TagPut, TagDelete, TagBatch, TagClear, TagGetMany:
		if hasID && idZero {
			return Multileveldown
		}
	}
	return Auto
}

// levelPrefix begins the error codes that a many-level guest passes on.
const levelPrefix = "LEVEL_"

// levelCodes are the codes of the Level packages where they are not ours behind
// their prefix.
var levelCodes = map[mld.Code]string{
	mld.CodeClosed:   "LEVEL_DATABASE_NOT_OPEN",
	mld.CodeInternal: "LEVEL_REMOTE_ERROR",
	mld.CodeIO:       "LEVEL_IO_ERROR",
}

// worded is an error for which the npm packages have words of their own.
type worded struct {
	err            mld.Error
	multileveldown string
	manyLevel      string
}

func (w *worded) Error() string { return w.err.Error() }
func (w *worded) Unwrap() error { return &w.err }

// errorText returns what the error field of an answer says, in the words that
// the npm package of the dialect matches.
func errorText(d Dialect, err error) string {
	var w *worded
	code := mld.CodeOf(err)
	if d != Multileveldown {
		if errors.As(err, &w) {
			return w.manyLevel
		}
		if text, ok := levelCodes[code]; ok {
			return text
		}
		return levelPrefix + string(code)
	}
	switch code {
	case mld.CodeNotFound:
		return "NotFound"
	case mld.CodeReadOnly:
		return "Database is readonly"
	}
	if errors.As(err, &w) {
		return w.multileveldown
	}
	return reason(err)
}

// reason returns the words of an error that are for the other side: an error's
// own message, or else all of its text. It is never empty.
func reason(err error) string {
	var e *mld.Error
	if errors.As(err, &e) && e.Msg != "" && e.Err == nil {
		return e.Msg
	}
	if text := err.Error(); text != "" {
		return text
	}
	return "error without a text"
}

// remoteError returns the error that an answer's fields tell of: text is the
// dialect's field, code and msg are the extension's, empty from the npm packages.
func remoteError(d Dialect, text, code, msg string) error {
	if code != "" {
		if code == string(mld.CodeNotFound) {
			return mld.ErrNotFound
		}
		return &mld.Error{Code: mld.Code(code), Msg: msg, Remote: true}
	}
	if d == ManyLevel {
		return levelError(text)
	}
	switch {
	case strings.Contains(strings.ToLower(text), "notfound"):
		return mld.ErrNotFound
	case text == "Database is readonly":
		return &mld.Error{Code: mld.CodeReadOnly, Remote: true}
	case text == "key cannot be an empty Buffer":
		return &mld.Error{Code: mld.CodeInvalidArgument, Msg: text, Remote: true}
	}
	return &mld.Error{Code: mld.CodeInternal, Msg: text, Remote: true}
}

func levelError(text string) error {
	if text == "LEVEL_NOT_FOUND" {
		return mld.ErrNotFound
	}
	for code, t := range levelCodes {
		if t == text {
			return &mld.Error{Code: code, Msg: text, Remote: true}
		}
	}
	code, ok := strings.CutPrefix(text, levelPrefix)
	switch mld.Code(code) {
	case mld.CodeReadOnly, mld.CodeLocked, mld.CodeCorruption, mld.CodeUnsupported, mld.CodeReservedKey, mld.CodeRefused, mld.CodeLimitExceeded, mld.CodeInvalidArgument:
		return &mld.Error{Code: mld.Code(code), Remote: true}
	}
	if ok && strings.HasPrefix(code, "INVALID_") {
		return &mld.Error{Code: mld.CodeInvalidArgument, Msg: text, Remote: true}
	}
	return &mld.Error{Code: mld.CodeInternal, Msg: text, Remote: true}
}
