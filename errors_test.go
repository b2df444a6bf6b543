package mld_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
)

// sentinels has every code with its sentinel.
var sentinels = map[mld.Code]error{
	mld.CodeNotFound:        mld.ErrNotFound,
	mld.CodeInvalidArgument: mld.ErrInvalidArgument,
	mld.CodeReadOnly:        mld.ErrReadOnly,
	mld.CodeReservedKey:     mld.ErrReservedKey,
	mld.CodeRefused:         mld.ErrRefused,
	mld.CodeLimitExceeded:   mld.ErrLimitExceeded,
	mld.CodeUnsupported:     mld.ErrUnsupported,
	mld.CodeClosed:          mld.ErrClosed,
	mld.CodeLocked:          mld.ErrLocked,
	mld.CodeCorruption:      mld.ErrCorruption,
	mld.CodeIO:              mld.ErrIO,
	mld.CodeInternal:        mld.ErrInternal,
	mld.CodeProtocol:        mld.ErrProtocol,
	mld.CodeConnectionLost:  mld.ErrConnectionLost,
	mld.CodeNotSent:         mld.ErrNotSent,
	mld.CodeOutcomeUnknown:  mld.ErrOutcomeUnknown,
	mld.CodeSnapshotLost:    mld.ErrSnapshotLost,
}

func TestErrorIs(t *testing.T) {
	for code := range sentinels {
		err := fmt.Errorf("wrapped: %w", &mld.Error{Code: code, Op: "put", Key: []byte("k"), Msg: "words", Err: io.EOF})
		for other, sentinel := range sentinels {
			if errors.Is(err, sentinel) != (code == other) {
				t.Errorf("an error of code %s is %v: %v", code, sentinel, code != other)
			}
		}
		if !errors.Is(err, io.EOF) || mld.CodeOf(err) != code {
			t.Errorf("%v: code %s", err, mld.CodeOf(err))
		}
		// One error is not another that says more than a kind.
		if errors.Is(err, &mld.Error{Code: code, Op: "put"}) {
			t.Errorf("%s: an error is another one of its kind", code)
		}
		if text := sentinels[code].Error(); text == "" || text == string(code) {
			t.Errorf("%s has no words", code)
		}
	}
	if mld.CodeOf(nil) != "" || mld.CodeOf(io.EOF) != mld.CodeInternal {
		t.Errorf("nil: %q, EOF: %q", mld.CodeOf(nil), mld.CodeOf(io.EOF))
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  mld.Error
		want string
	}{
		{mld.Error{Code: mld.CodeReadOnly}, `the store is read-only`},
		{mld.Error{Code: mld.CodeClosed, Op: "get"}, `get: closed`},
		{mld.Error{Code: mld.CodeNotFound, Op: "get", Key: []byte("a\x00b")}, `get "a\x00b": not found`},
		{mld.Error{Code: mld.CodeNotFound, Op: "get", Key: []byte{}}, `get "": not found`},
		{mld.Error{Code: mld.CodeLocked, Op: "open", Where: "./db"}, `open at ./db: locked by another process`},
		{mld.Error{Code: mld.CodeConnectionLost, Where: "tcp://h:1", Err: io.EOF}, `tcp://h:1: connection lost: EOF`},
		{mld.Error{Code: mld.CodeRefused, Op: "put", Key: []byte("k"), Msg: "not today", Err: io.EOF}, `put "k": refused: not today: EOF`},
		{mld.Error{Code: "LATER", Msg: "what a later version says"}, `LATER: what a later version says`},
		{mld.Error{Code: mld.CodeNotFound, Op: "get", Key: []byte(strings.Repeat("x", 100))}, `get "` + strings.Repeat("x", 64) + `"… (100 bytes): not found`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

func TestOutcomeOf(t *testing.T) {
	lost := func(code mld.Code) error {
		return &mld.Error{Code: code, Op: "put", Err: &mld.Error{Code: mld.CodeConnectionLost}}
	}
	for _, c := range []struct {
		err  error
		want mld.Outcome
	}{
		{nil, mld.Applied},
		{mld.ErrReadOnly, mld.NotApplied},
		{mld.ErrRefused, mld.NotApplied},
		{mld.ErrLimitExceeded, mld.NotApplied},
		{mld.ErrClosed, mld.NotApplied},
		{mld.ErrNotSent, mld.NotApplied},
		{lost(mld.CodeNotSent), mld.NotApplied},
		{context.Canceled, mld.NotApplied},
		{fmt.Errorf("put: %w", context.DeadlineExceeded), mld.NotApplied},
		{&mld.Error{Code: mld.CodeProtocol, Remote: true}, mld.NotApplied},
		{mld.ErrOutcomeUnknown, mld.Unknown},
		{lost(mld.CodeOutcomeUnknown), mld.Unknown},
		{&mld.Error{Code: mld.CodeOutcomeUnknown, Err: context.Canceled}, mld.Unknown},
		{mld.ErrConnectionLost, mld.Unknown},
		{mld.ErrProtocol, mld.Unknown},
		{mld.ErrIO, mld.Unknown},
		{mld.ErrCorruption, mld.Unknown},
		{mld.ErrInternal, mld.Unknown},
		{io.EOF, mld.Unknown},
	} {
		if got := mld.OutcomeOf(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}
