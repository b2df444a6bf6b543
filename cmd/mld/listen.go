package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/multileveldown/mld/internal/unixsocket"
)

// endpoint is what an address means.
type endpoint struct {
	address  string // as it was given
	hostPort string // of TCP, or
	path     string // of a unix socket
}

// parseAddress returns what an address of the form that a client dials means:
// tcp://HOST:PORT, unix:PATH, or unix:// before an absolute path.
func parseAddress(address string) (endpoint, error) {
	e := endpoint{address: address}
	refuse := func(format string, args ...any) (endpoint, error) {
		return e, usageError("--listen %s: %w", address, fmt.Errorf(format, args...))
	}
	if hostPort, ok := strings.CutPrefix(address, "tcp://"); ok {
		if _, _, err := net.SplitHostPort(hostPort); err != nil {
			return refuse("this is not tcp://HOST:PORT: %w", err)
		}
		e.hostPort = hostPort
		return e, nil
	}
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return refuse("this is no address; it is tcp://HOST:PORT or unix:PATH")
	}
	if abs, hasSlashes := strings.CutPrefix(path, "//"); hasSlashes {
		if path = abs; !strings.HasPrefix(path, "/") {
			return refuse("after unix:// comes an absolute path; a relative one is written unix:%s", path)
		}
	}
	switch {
	case path == "":
		return refuse("the path is missing; it is unix:PATH")
	case len(path) > unixsocket.MaxPath:
		return refuse("the path has %d bytes, and the system allows a socket %d; choose a shorter one", len(path), unixsocket.MaxPath)
	}
	e.path = path
	return e, nil
}

// listen listens on the endpoint.
func (e *endpoint) listen(ctx context.Context) (net.Listener, error) {
	if e.path != "" {
		return listenUnix(ctx, e.address, e.path)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", e.hostPort)
	if err != nil {
		return nil, listenError(e.address, err)
	}
	return l, nil
}

// addressOf returns the address that a client dials.
func addressOf(l net.Listener) string {
	network, address := l.Addr().Network(), l.Addr().String()
	if network == "unix" && !strings.HasPrefix(address, "/") {
		return "unix:" + address
	}
	return network + "://" + address
}

func listenUnix(ctx context.Context, address, path string) (net.Listener, error) {
	l, err := unixsocket.Listen(ctx, path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(address, path); err != nil {
			return nil, err
		}
		l, err = unixsocket.Listen(ctx, path)
	}
	if err != nil {
		return nil, listenError(address, err)
	}
	return l, nil
}

// removeStale removes the socket of a process that is gone. It is that only if
// the system refuses the connection.
func removeStale(address, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return listenError(address, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return openError(fmt.Errorf("listen on %s: there is a file of this name that is not a socket; it was left as it is", address))
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return listenError(address, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return openError(fmt.Errorf("listen on %s: there is a socket of this name, and whether its process is gone cannot be told: %w", address, err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return listenError(address, err)
	}
	return nil
}

// listenError says what to do about the usual failures.
func listenError(address string, err error) error {
	why := err.Error()
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && strings.HasPrefix(address, "unix:"):
		why = "another process listens there; stop it or choose another path"
	case errors.Is(err, syscall.EADDRINUSE):
		why = "another process listens there; stop it, choose another port, or port 0 for any that is free"
	case errors.Is(err, syscall.EACCES):
		why = "this is not permitted to this user; choose a port from 1024 on, or a directory that may be written to"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		why = "this machine does not have that address"
	case errors.Is(err, fs.ErrNotExist):
		why = "there is no such directory"
	}
	return openError(fmt.Errorf("listen on %s: %s", address, why))
}
