package party

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/backoff"
)

// pipeBuffer is how many bytes the system keeps of a pipe in each direction.
const pipeBuffer = 64 << 10

// pipeLinger is how long to wait for the pipe of the last host, whose name is taken
// until each of its guests has closed its end.
const pipeLinger = time.Second

// listen listens on the pipe that takes the place of a socket in the directory, for
// this user only. The caller holds the lock of the directory.
func listen(dir, name string) (net.Listener, error) {
	user, err := currentUser()
	if err != nil {
		return nil, err
	}
	path := pipeName(dir, name)
	c := &winio.PipeConfig{
		SecurityDescriptor: fmt.Sprintf("O:%[1]sD:P(A;;GA;;;%[1]s)", user),
		// Of a pipe of messages each direction can be closed by itself. Node's
		// are of bytes.
		MessageMode:      name == socketName,
		InputBufferSize:  pipeBuffer,
		OutputBufferSize: pipeBuffer,
	}
	ctx, cancel := context.WithTimeout(context.Background(), pipeLinger)
	defer cancel()
	wait := backoff.Backoff{Min: time.Millisecond, Max: 50 * time.Millisecond}
	for {
		l, err := winio.ListenPipe(path, c)
		if !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			return l, err
		}
		if wait.Wait(ctx) != nil {
			return nil, &mld.Error{
				Code: mld.CodeLocked, Op: "join", Where: dir,
				Msg: "the pipe " + path + " is in use: by a guest of the last host that has not noticed its end, or by another program",
			}
		}
	}
}

// listenForNode listens on a pipe of the npm packages.
func listenForNode(dir, name string) (net.Listener, error) { return listen(dir, name) }

// dialSocket connects to the pipe that takes the place of a socket in the directory.
// Anybody may create a pipe of any name, so one of another user is refused.
func dialSocket(ctx context.Context, dir, name string) (net.Conn, error) {
	conn, err := winio.DialPipeContext(ctx, pipeName(dir, name))
	if err != nil {
		return nil, err
	}
	if err := checkPipeOwner(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// checkPipeOwner refuses a pipe that was created neither by this user nor by an
// administrator, whose pipes may belong to the group.
func checkPipeOwner(conn net.Conn) error {
	pipe, ok := conn.(interface{ Fd() uintptr })
	if !ok {
		return fmt.Errorf("the owner of the pipe %s cannot be asked for", conn.RemoteAddr())
	}
	sd, err := windows.GetSecurityInfo(windows.Handle(pipe.Fd()), windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return err
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return err
	}
	user, err := currentUser()
	if err != nil {
		return err
	}
	if !owner.Equals(user) && !owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) {
		return fmt.Errorf("the pipe %s belongs to another user, %s", conn.RemoteAddr(), owner)
	}
	return nil
}

// currentUser returns the user that this process is of.
func currentUser() (*windows.SID, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, err
	}
	return u.User.Sid, nil
}

// removeSocket does nothing: a pipe is gone when nobody has it open.
func removeSocket(_, _ string) {}
