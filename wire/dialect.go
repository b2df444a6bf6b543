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
// client sent on it. It returns Auto for a message that is cut short or has no
// id, and for one that does not tell: a call with an id from 1 on is the first of
// a many-level guest, or what a multileveldown client that reconnects has left to
// ask. The first message of a new multileveldown client always tells.
func Detect(body []byte) Dialect {
	if len(body) == 0 {
		return Auto
	}
	s := scanner{rest: body[1:]}
	hasID, hasConsumed := false, false
	var id uint32
	var named Dialect
	for s.next() {
		switch {
		case s.field == fieldID:
			id, hasID = s.id()
		case s.field == fieldConsumed && s.typ == typeVarint:
			hasConsumed = true
		case s.field == fieldHelloDialect && s.typ == typeVarint && s.num <= uint64(ManyLevel):
			named = Dialect(s.num)
		}
	}
	if s.bad || !hasID {
		return Auto
	}
	switch body[0] {
	case TagHello: // whose field 1 is no id, but must be there as well
		return named
	case TagIteratorClose, TagIteratorAck, TagIteratorSeek:
		return ManyLevel
	case TagIterator:
		if hasConsumed {
			return ManyLevel
		}
		return Multileveldown
	case TagGet, TagPut, TagDelete, TagBatch, TagClear, TagGetMany:
		if id == 0 {
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
}

// The words of the npm packages for what their clients, or ours, tell apart.
const (
	levelNotFound = "LEVEL_NOT_FOUND"
	textNotFound  = "NotFound"
	textReadOnly  = "Database is readonly"
	textEmptyKey  = "key cannot be an empty Buffer"
)

// worded is an error for which the npm packages have words of their own.
type worded struct {
	err            mld.Error
	multileveldown string
	manyLevel      string
}

func (w *worded) Error() string { return w.err.Error() }
func (w *worded) Unwrap() error { return &w.err }

// errorText returns what the error field of an answer says, in the words that
// the npm package of the dialect matches. It is never empty, for that would be
// no error.
func errorText(d Dialect, err error) string {
	code := codeOf(err)
	if code == mld.CodeNotFound { // the common one, for which nothing is put together
		if d == Multileveldown {
			return textNotFound
		}
		return levelNotFound
	}
	worded, ok := errors.AsType[*worded](err)
	if d != Multileveldown {
		if ok {
			return worded.manyLevel
		}
		if text, ok := levelCodes[code]; ok {
			return text
		}
		return levelPrefix + string(code)
	}
	switch {
	case code == mld.CodeReadOnly:
		return textReadOnly
	case ok:
		return worded.multileveldown
	}
	text := reason(err)
	if text == "" {
		text = err.Error()
	}
	if text == "" || saysNotFound(text) {
		// Words that the npm client would take for a missing key, such as the
		// name of one, are only for the extension's field.
		return string(code)
	}
	return text
}

// saysNotFound reports whether the npm client of multileveldown takes an error
// with this text for a key that is not there.
func saysNotFound(text string) bool {
	return strings.Contains(strings.ToLower(text), "notfound")
}

// codeOf returns the code of an error, which is never empty.
func codeOf(err error) mld.Code {
	if code := mld.CodeOf(err); code != "" {
		return code
	}
	return mld.CodeInternal
}

// reason returns what an error says beyond its code. It is empty where the code
// says it all. The other side makes an error of the two, so what such an error
// says of itself, its code's words, its call and its place, is not repeated.
func reason(err error) string {
	e, ok := err.(*mld.Error)
	if !ok {
		w, ok := err.(*worded)
		if !ok {
			return err.Error()
		}
		e = &w.err
	}
	switch {
	case e.Err == nil:
		return e.Msg
	case e.Msg == "":
		return e.Err.Error()
	default:
		return e.Msg + ": " + e.Err.Error()
	}
}

// A failure is the fields in which a message tells of one.
type failure struct {
	text        []byte // the npm packages'
	code, words []byte // the extension's
}

// err returns the error that the fields tell of, or nil.
func (f *failure) err(d Dialect) error {
	switch {
	case len(f.code) > 0:
		return &mld.Error{Code: mld.Code(f.code), Msg: string(f.words), Remote: true}
	case len(f.text) == 0:
		return nil
	case d == Multileveldown:
		return multileveldownError(string(f.text))
	default:
		return levelError(string(f.text))
	}
}

// notFound reports whether the answer to a get tells of a missing key.
func (f *failure) notFound(d Dialect) bool {
	switch {
	case len(f.code) > 0:
		return string(f.code) == string(mld.CodeNotFound)
	case d == Multileveldown:
		return string(f.text) == textNotFound || saysNotFound(string(f.text))
	default:
		return string(f.text) == levelNotFound
	}
}

// multileveldownError returns the error of which a server of multileveldown
// says text.
func multileveldownError(text string) error {
	switch text {
	case textReadOnly:
		return &mld.Error{Code: mld.CodeReadOnly, Remote: true}
	case textEmptyKey, errNoValue.multileveldown, errOpType.multileveldown:
		return &mld.Error{Code: mld.CodeInvalidArgument, Msg: text, Remote: true}
	default:
		return &mld.Error{Code: mld.CodeInternal, Msg: text, Remote: true}
	}
}

// levelError returns the error of which a many-level host says text, a code.
func levelError(text string) error {
	for code, t := range levelCodes {
		if t == text {
			return &mld.Error{Code: code, Msg: text, Remote: true}
		}
	}
	if code, ok := strings.CutPrefix(text, levelPrefix); ok {
		switch c := mld.Code(code); c {
		case mld.CodeReadOnly, mld.CodeLocked, mld.CodeCorruption, mld.CodeIO, mld.CodeUnsupported:
			return &mld.Error{Code: c, Remote: true}
		}
		if strings.HasPrefix(code, "INVALID_") {
			return &mld.Error{Code: mld.CodeInvalidArgument, Msg: text, Remote: true}
		}
	}
	return &mld.Error{Code: mld.CodeInternal, Msg: text, Remote: true}
}
