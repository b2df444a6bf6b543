//go:build !linux

package unixsocket

import (
	"context"
	"net"
	"os"
)

// Listen listens on a unix socket that, once this returns, only this
// user can connect to.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
