package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/multileveldown/mld"
)

const (
	exitOK = iota
	exitNotFound
	exitUsage
	exitOpen
	exitLocked
	exitRefused
	exitUnknown
	exitFailed
)

const exitCodesHelp = `Exit codes:
  0  done
  1  the key is not there, or nobody hosts the directory
  2  the command line, or the input, makes no sense; nothing was done
  3  the directory could not be opened, or the server not be reached
  4  another process has the directory open
  5  refused: read-only, a reserved key, a limit, a hook of the server
  6  it is not known whether the write took effect
  7  any other failure
130  ended by a second interrupt, 143 by a second SIGTERM`

// exitError is an error whose exit code does not follow from its kind.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError says what is wrong with the command line or the input.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// openError is returned for what could not be opened.
func openError(err error) error {
	if errors.Is(err, mld.ErrLocked) {
		return err
	}
	return &exitError{exitOpen, err}
}

// signalError is returned when a signal cut what was going on.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string {
	return fmt.Sprintf("cut by a second signal (%v)", e.signal)
}

func exitCode(err error) int {
	var exit *exitError
	var sig *signalError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &sig):
		return 128 + int(sig.signal)
	case errors.Is(err, mld.ErrOutcomeUnknown):
		return exitUnknown
	case errors.Is(err, context.DeadlineExceeded):
		return exitOpen
	}
	switch mld.CodeOf(err) {
	case mld.CodeNotFound:
		return exitNotFound
	case mld.CodeInvalidArgument:
		return exitUsage
	case mld.CodeLocked:
		return exitLocked
	case mld.CodeReadOnly, mld.CodeReservedKey, mld.CodeRefused, mld.CodeLimitExceeded, mld.CodeUnsupported:
		return exitRefused
	case mld.CodeConnectionLost, mld.CodeNotSent:
		return exitOpen
	default:
		return exitFailed
	}
}

// hint says what to do about err, where its text does not.
func hint(err error) string {
	switch {
	case errors.Is(err, mld.ErrLocked):
		return "the process that has it open does not share it; close it, and have mld serve the directory"
	case errors.Is(err, mld.ErrOutcomeUnknown):
		return "the write may have taken effect, or may yet: look before you repeat it"
	default:
		return ""
	}
}
