package wire

import (
	"errors"
	"fmt"
	"testing"

	"github.com/multileveldown/mld"
)

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       Dialect
	}{
		{"get 0", `00 0800 120161`, Multileveldown},
		{"put 0", `01 0800 120161 1a0131`, Multileveldown},
		{"delete 0", `02 0800 120161`, Multileveldown},
		{"batch 0", `03 0800`, Multileveldown},
		{"clear 0", `05 0800 1204 3801 4000`, Multileveldown},
		{"get-many 0", `06 0800`, Multileveldown},
		{"get 1", `00 0801 120161`, Auto},
		{"put 1", `01 0801 120161 1a0131`, Auto},
		{"delete 1", `02 0801 120161`, Auto},
		{"batch 1", `03 0801`, Auto},
		{"clear 1", `05 0801 1204 3801 4000`, Auto},
		{"get-many 1", `06 0801`, Auto},
		{"iterator with consumed", `04 0801 1000 1a08 0801 1001 3801 4000 2000`, ManyLevel},
		{"iterator without", `04 0801 1020 1a08 0801 1001 3801 4000`, Multileveldown},
		{"credit", `04 0801 1020`, Multileveldown},
		{"close", `07 0801`, ManyLevel},
		{"acknowledgement", `08 0801 1000 1801`, ManyLevel},
		{"seek", `09 0801 1000 1a00`, ManyLevel},
		{"hello of multileveldown", `40 0801 1001`, Multileveldown},
		{"hello of many-level", `40 0801 1002`, ManyLevel},
		{"hello of neither", `40 0801 1003`, Auto},
		{"empty", ``, Auto},
		{"unknown tag", `0a 0800`, Auto},
		{"extension", `43 0800`, Auto},
		{"iterator that does not decode", `04 0801 10`, Auto},
		{"iterator without id", `04 1020`, Auto},
		{"close without id", `07`, Auto},
		{"get 0 that does not decode", `00 0800 120561`, Auto},
		{"id of another type", `00 0a00 120161`, Auto},
		{"the last id holds", `00 0800 0801 120161`, Auto},
	} {
		if got := Detect(unhex(c.body)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestDetectSessions sees that the first message of a recorded session of
// multileveldown tells, and that no message tells what is wrong.
func TestDetectSessions(t *testing.T) {
	for _, s := range readSessions(t) {
		told := false
		for i, b := range frames(t, s.c2s) {
			switch got := Detect(b); got {
			case s.dialect:
				told = true
			case Auto:
				if i == 0 && s.dialect == Multileveldown {
					t.Errorf("the first message of %s/%s does not tell", s.dialect, s.name)
				}
			default:
				t.Errorf("message %d of %s/%s is taken for %s", i, s.dialect, s.name, got)
			}
		}
		if !told && s.dialect == Multileveldown {
			t.Errorf("%s/%s does not tell", s.dialect, s.name)
		}
	}
}

func TestParseDialect(t *testing.T) {
	for _, d := range []Dialect{Auto, Multileveldown, ManyLevel} {
		if got, err := ParseDialect(d.String()); got != d || err != nil {
			t.Errorf("%s: %v, %v", d, got, err)
		}
	}
	if _, err := ParseDialect("english"); !errors.Is(err, mld.ErrInvalidArgument) {
		t.Errorf("english: %v", err)
	}
	if got := Dialect(9).String(); got != "dialect 9" {
		t.Error(got)
	}
}

// codes has every code, and what the npm clients are told of it.
var codes = []struct {
	code           mld.Code
	multileveldown string // "": the words of the error
	manyLevel      string
}{
	{mld.CodeNotFound, "NotFound", "LEVEL_NOT_FOUND"},
	{mld.CodeInvalidArgument, "", "LEVEL_INVALID_ARGUMENT"},
	{mld.CodeReadOnly, "Database is readonly", "LEVEL_READONLY"},
	{mld.CodeReservedKey, "", "LEVEL_RESERVED_KEY"},
	{mld.CodeRefused, "", "LEVEL_REFUSED"},
	{mld.CodeLimitExceeded, "", "LEVEL_LIMIT_EXCEEDED"},
	{mld.CodeUnsupported, "", "LEVEL_NOT_SUPPORTED"},
	{mld.CodeClosed, "", "LEVEL_DATABASE_NOT_OPEN"},
	{mld.CodeLocked, "", "LEVEL_LOCKED"},
	{mld.CodeCorruption, "", "LEVEL_CORRUPTION"},
	{mld.CodeIO, "", "LEVEL_IO_ERROR"},
	{mld.CodeInternal, "", "LEVEL_REMOTE_ERROR"},
	{mld.CodeProtocol, "", "LEVEL_PROTOCOL"},
	{mld.CodeConnectionLost, "", "LEVEL_CONNECTION_LOST"},
	{mld.CodeNotSent, "", "LEVEL_NOT_SENT"},
	{mld.CodeOutcomeUnknown, "", "LEVEL_OUTCOME_UNKNOWN"},
	{mld.CodeSnapshotLost, "", "LEVEL_SNAPSHOT_LOST"},
}

// TestErrorsCross sends every code by every message that tells of a failure.
func TestErrorsCross(t *testing.T) {
	for _, c := range codes {
		for _, d := range dialects {
			for _, msg := range []string{"", "some words"} {
				err := &mld.Error{Code: c.code, Msg: msg, Op: "put", Key: []byte("k"), Where: "/a/directory"}
				text := c.manyLevel
				if d == Multileveldown {
					switch {
					case c.multileveldown != "":
						text = c.multileveldown
					case msg != "":
						text = msg
					default:
						text = err.Error()
					}
				}
				if got := errorText(d, err); got != text {
					t.Errorf("%s, %s %q: the npm client is told %q, want %q", d, c.code, msg, got, text)
				}
				for name, frame := range map[string][]byte{
					"callback": AppendError(nil, d, 1, err),
					"get-many": AppendManyError(nil, d, 1, err),
					"iterator": AppendIteratorError(nil, d, 1, 2, err),
					"goodbye":  AppendGoodbye(nil, err),
				} {
					r := decodeResponse(t, d, body(t, frame))
					if c.code == mld.CodeNotFound && name == "callback" {
						if r.Err != mld.ErrNotFound {
							t.Errorf("%s: a missing key arrives as %#v", d, r.Err)
						}
						continue
					}
					if want := (mld.Error{Code: c.code, Msg: msg, Remote: true}); fmt.Sprintf("%#v", r.Err) != fmt.Sprintf("%#v", &want) {
						t.Errorf("%s, %s: %#v arrives as %#v", d, name, err, r.Err)
					}
				}
			}
		}
	}
}

// TestErrorWords has what is said of errors that are no plain [mld.Error].
func TestErrorWords(t *testing.T) {
	for _, c := range []struct {
		name           string
		err            error
		multileveldown string
		want           mld.Error
	}{
		{"a foreign one", errors.New("no disk"), "no disk", mld.Error{Code: mld.CodeInternal, Msg: "no disk"}},
		{"without words", errors.New(""), "INTERNAL", mld.Error{Code: mld.CodeInternal}},
		{"without a code", &mld.Error{}, "INTERNAL", mld.Error{Code: mld.CodeInternal}},
		{"a cause", &mld.Error{Code: mld.CodeIO, Op: "put", Err: errors.New("no disk")}, "no disk", mld.Error{Code: mld.CodeIO, Msg: "no disk"}},
		{"words and a cause", &mld.Error{Code: mld.CodeIO, Msg: "the log", Err: errors.New("no disk")}, "the log: no disk", mld.Error{Code: mld.CodeIO, Msg: "the log: no disk"}},
		{"wrapped", fmt.Errorf("the hook: %w", mld.ErrRefused), "the hook: refused", mld.Error{Code: mld.CodeRefused, Msg: "the hook: refused"}},
		{"no missing key", &mld.Error{Code: mld.CodeRefused, Msg: "not for NotFound.txt"}, "REFUSED", mld.Error{Code: mld.CodeRefused, Msg: "not for NotFound.txt"}},
		{"no missing key but its name", &mld.Error{Code: mld.CodeClosed, Op: "get", Key: []byte("notfound")}, "CLOSED", mld.Error{Code: mld.CodeClosed}},
		{"put without value", errNoValue, "value cannot be `null` or `undefined`", mld.Error{Code: mld.CodeInvalidArgument, Msg: "a put has no value"}},
	} {
		if got := errorText(Multileveldown, c.err); got != c.multileveldown {
			t.Errorf("%s: the npm client is told %q, want %q", c.name, got, c.multileveldown)
		}
		c.want.Remote = true
		for _, d := range dialects {
			r := decodeResponse(t, d, body(t, AppendError(nil, d, 1, c.err)))
			if fmt.Sprintf("%#v", r.Err) != fmt.Sprintf("%#v", &c.want) {
				t.Errorf("%s: %#v, want %#v", c.name, r.Err, &c.want)
			}
		}
	}
	if got := errorText(ManyLevel, errNoValue); got != "LEVEL_INVALID_VALUE" {
		t.Error(got)
	}
	if got := errorText(ManyLevel, errOpType); got != "LEVEL_REMOTE_ERROR" {
		t.Error(got)
	}
}

// TestNpmErrors has what the npm servers say.
func TestNpmErrors(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		text    string
		want    error
	}{
		{Multileveldown, "NotFound", mld.ErrNotFound},
		{Multileveldown, "NotFound: ", mld.ErrNotFound},
		{Multileveldown, "Key notfound in x", mld.ErrNotFound},
		{Multileveldown, "LEVEL_NOT_FOUND", remote(mld.CodeInternal, "LEVEL_NOT_FOUND")},
		{Multileveldown, "Database is readonly", remote(mld.CodeReadOnly, "")},
		{Multileveldown, "key cannot be an empty Buffer", remote(mld.CodeInvalidArgument, "key cannot be an empty Buffer")},
		{Multileveldown, "`type` must be 'put' or 'del'", remote(mld.CodeInvalidArgument, "`type` must be 'put' or 'del'")},
		{Multileveldown, "what a hook says", remote(mld.CodeInternal, "what a hook says")},
		{ManyLevel, "LEVEL_NOT_FOUND", mld.ErrNotFound},
		{ManyLevel, "NotFound", remote(mld.CodeInternal, "NotFound")},
		{ManyLevel, "LEVEL_READONLY", remote(mld.CodeReadOnly, "")},
		{ManyLevel, "READONLY", remote(mld.CodeInternal, "READONLY")},
		{ManyLevel, "LEVEL_IO_ERROR", remote(mld.CodeIO, "")},
		{ManyLevel, "LEVEL_DATABASE_NOT_OPEN", remote(mld.CodeClosed, "LEVEL_DATABASE_NOT_OPEN")},
		{ManyLevel, "LEVEL_INVALID_VALUE", remote(mld.CodeInvalidArgument, "LEVEL_INVALID_VALUE")},
		{ManyLevel, "LEVEL_REMOTE_ERROR", remote(mld.CodeInternal, "LEVEL_REMOTE_ERROR")},
		{ManyLevel, "LEVEL_FORBIDDEN", remote(mld.CodeInternal, "LEVEL_FORBIDDEN")},
	} {
		frame := appendBytes(unhex(`00 0801`), fieldError, c.text)
		r := decodeResponse(t, c.dialect, frame)
		if fmt.Sprintf("%#v", r.Err) != fmt.Sprintf("%#v", c.want) || c.want == mld.ErrNotFound && r.Err != c.want {
			t.Errorf("%s %q: %#v, want %#v", c.dialect, c.text, r.Err, c.want)
		}
	}
}
