package unixsocket

import (
	"context"
	"net"
	"syscall"
)

// Listen listens on a unix socket that only this user can connect to.
// The file gets the mode that the socket has when it is bound, less the umask,
// so at no moment can anybody else connect.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); cerr != nil {
			return cerr
		}
		return err
	}}
	return lc.Listen(ctx, "unix", path)
}
