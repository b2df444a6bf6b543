//go:build unix

package party

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/multileveldown/mld/internal/unixsocket"
)

// place is where a socket is. Its path is short enough for the system, and valid
// until it is released.
type place struct {
	path    string
	release func()
}

// locate returns the place of a socket in a directory, whose path is absolute. A
// path that is too long is never cut: what is left of it may be the path of another
// directory's socket.
func locate(dir, name string) (place, error) {
	path := filepath.Join(dir, name)
	if len(path) <= unixsocket.MaxPath {
		return place{path, func() {}}, nil
	}
	if at, ok := locateByDescriptor(dir, name); ok {
		return at, nil
	}
	path, err := hashedPath(dir, name)
	return place{path, func() {}}, err
}

// hashedPath returns a path, in a folder that belongs to this user alone, whose
// name is made of the directory's.
func hashedPath(dir, name string) (string, error) {
	folder := os.Getenv("XDG_RUNTIME_DIR")
	if folder != "" {
		folder = filepath.Join(folder, "mld")
	} else {
		folder = filepath.Join(os.TempDir(), fmt.Sprintf("mld-%d", os.Getuid()))
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(folder)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || !isPrivate(info) {
		return "", fmt.Errorf("%s is not a folder of this user alone, so no socket can be put there", folder)
	}
	path := filepath.Join(folder, fmt.Sprintf("%x-%s", sha256.Sum256([]byte(dir)), name))
	// A part of the sum is enough to tell directories apart, and guests check
	// that they reached the right one.
	if over := len(path) - unixsocket.MaxPath; over > 0 {
		path = filepath.Join(folder, fmt.Sprintf("%.16x-%s", sha256.Sum256([]byte(dir)), name))
	}
	if len(path) > unixsocket.MaxPath {
		return "", fmt.Errorf("the path %s has %d bytes, and the system allows a socket %d", path, len(path), unixsocket.MaxPath)
	}
	return path, nil
}

// listen listens on a socket in the directory, for its owner only. The caller holds
// the lock of the directory, so whatever has the name is left of a host that is
// gone. The listener does not remove the socket.
func listen(dir, name string) (net.Listener, error) {
	at, err := locate(dir, name)
	if err != nil {
		return nil, err
	}
	defer at.release()
	if err := os.Remove(at.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := unixsocket.Listen(context.Background(), at.path)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l, nil
}

// listenForNode listens on a socket of the npm packages. They cut a path that is too
// long, and what is left of it may be the path of another directory's socket.
func listenForNode(dir, name string) (net.Listener, error) {
	if path := filepath.Join(dir, name); len(path) > unixsocket.MaxPath {
		return nil, fmt.Errorf("the path %s has %d bytes, and the system allows a socket %d", path, len(path), unixsocket.MaxPath)
	}
	return listen(dir, name)
}

// dialSocket connects to a socket in the directory.
func dialSocket(ctx context.Context, dir, name string) (net.Conn, error) {
	at, err := locate(dir, name)
	if err != nil {
		return nil, err
	}
	defer at.release()
	var d net.Dialer
	return d.DialContext(ctx, "unix", at.path)
}

// removeSocket removes a socket. The caller holds the lock of the directory.
func removeSocket(dir, name string) {
	if at, err := locate(dir, name); err == nil {
		_ = os.Remove(at.path) // whoever is next removes it, too
		at.release()
	}
}
