package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// Meeter may be implemented by a stream that a [DialFunc] makes, to have a say in
// which server is talked to.
type Meeter interface {
	// Meet is called with what the server says of itself, before anything but a
	// hello is sent to it. An error ends the connection, and what waits goes to
	// the next one. A server that says nothing, as the hosts of the npm
	// packages do, is refused. Meet must not call the client.
	Meet(w *wire.Welcome) error
}

// DialectSpeaker may be implemented by a stream that a [DialFunc] makes, to say
// what is spoken on it instead of Options.Dialect.
type DialectSpeaker interface {
	Dialect() wire.Dialect
}

// NoWait returns an error for a [DialFunc] that says that there is no use in
// waiting: the calls that wait for a connection fail with it, and are also
// [mld.ErrConnectionLost], instead of waiting for the next attempt, which is made
// all the same.
func NoWait(err error) error { return &noWaitError{err} }

type noWaitError struct{ error }

func (e *noWaitError) Unwrap() error { return e.error }

// retries reports whether calls whose connection ended with cause, or could not
// be made, are sent on the next one.
func (c *Client) retries(cause error) bool {
	_, noWait := errors.AsType[*noWaitError](cause)
	return !noWait && !c.o.NoRetry
}

// Dialer returns a DialFunc for one URL, or for several, which are tried in
// turn, beginning after the one that was dialled last. A URL is one of
//
//	tcp://host:port        a TCP connection
//	unix:///dir/socket     a unix socket, by its absolute path
//	unix:dir/socket        a unix socket, by a path that may be relative
//	exec:command arg ...   the standard input and output of a command
//
// The words of a command are separated by spaces, and may be quoted with " or
// '; no shell is involved. A command that is no longer needed has its input
// closed, and is killed if it has not ended two seconds later. What it wrote to
// its standard error is part of the connection's error.
//
// Dialer returns [mld.ErrInvalidArgument] for anything else. It dials nothing.
func Dialer(urls ...string) (DialFunc, error) {
	if len(urls) == 0 {
		return nil, urlError("", "there is no URL to dial")
	}
	d := &dialer{}
	for _, u := range urls {
		dial, err := parseURL(u)
		if err != nil {
			return nil, err
		}
		d.targets = append(d.targets, target{u, dial})
	}
	return d.dial, nil
}

func urlError(u, format string, args ...any) error {
	return &mld.Error{Code: mld.CodeInvalidArgument, Op: "dial", Where: u, Msg: fmt.Sprintf(format, args...)}
}

const schemes = "a URL is tcp://host:port, unix:///path or exec:command"

func parseURL(u string) (DialFunc, error) {
	scheme, rest, ok := strings.Cut(u, ":")
	if !ok {
		return nil, urlError(u, "it has no scheme; %s", schemes)
	}
	switch scheme {
	case "tcp":
		return parseTCP(u)
	case "unix":
		path := rest
		if host, ok := strings.CutPrefix(rest, "//"); ok {
			if path = host; !strings.HasPrefix(path, "/") {
				return nil, urlError(u, "after unix:// comes an absolute path; a relative one is written unix:%s", host)
			}
		}
		if path == "" {
			return nil, urlError(u, "it has no path")
		}
		return netDialer("unix", path), nil
	case "exec":
		args, err := splitCommand(rest)
		if err != nil {
			return nil, urlError(u, "%v", err)
		}
		return func(ctx context.Context) (io.ReadWriteCloser, error) { return startCommand(ctx, args) }, nil
	}
	return nil, urlError(u, "the scheme %q is not known; %s", scheme, schemes)
}

func parseTCP(u string) (DialFunc, error) {
	parsed, err := url.Parse(u)
	switch {
	case err != nil:
		return nil, urlError(u, "%v", err)
	case parsed.Port() == "":
		return nil, urlError(u, "it has no port; %s", schemes)
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" || strings.Trim(parsed.Path, "/") != "":
		return nil, urlError(u, "it has more than a host and a port")
	}
	if _, err := net.LookupPort("tcp", parsed.Port()); err != nil {
		return nil, urlError(u, "%q is not a port", parsed.Port())
	}
	return netDialer("tcp", parsed.Host), nil
}

func netDialer(network, address string) DialFunc {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		// The client has a keep-alive of its own, which works on any stream.
		d := net.Dialer{KeepAlive: -1}
		return d.DialContext(ctx, network, address)
	}
}

// splitCommand splits a command into words.
func splitCommand(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	quote := rune(0)
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a %c is not closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("it has no command")
	}
	return words, nil
}

type target struct {
	url  string
	dial DialFunc
}

type dialer struct {
	targets []target

	mu   sync.Mutex
	next int // where to begin
}

// dial tries each target once. One that does not answer may not use up the time
// of those after it.
func (d *dialer) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	var errs []error
	for left := len(d.targets); left > 0; left-- {
		d.mu.Lock()
		t := d.targets[d.next]
		d.next = (d.next + 1) % len(d.targets)
		d.mu.Unlock()
		stream, err := dialWithin(ctx, t, left)
		if err == nil {
			return stream, nil
		}
		errs = append(errs, &mld.Error{Code: mld.CodeConnectionLost, Op: "dial", Where: t.url, Err: err})
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// dialWithin dials a target within its share of the time, left being how many
// are still to be tried.
func dialWithin(ctx context.Context, t target, left int) (io.ReadWriteCloser, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		share, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
		ctx = share
	}
	return t.dial(ctx)
}
