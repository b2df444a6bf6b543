package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// commandGrace is how long a command may take to end after its input has.
	commandGrace = 2 * time.Second

	// stderrTail is how much of what a command wrote to its standard error goes
	// into an error, in bytes.
	stderrTail = 2 << 10
)

// command is the standard input and output of a command as a stream.
type command struct {
	name   string
	stdin  io.WriteCloser
	stdout *os.File
	cmd    *exec.Cmd
	stderr tail

	exited chan struct{} // closed when it has been reaped
	err    error         // its exit, after that

	closeOnce sync.Once
}

func startCommand(ctx context.Context, args []string) (io.ReadWriteCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &command{name: args[0], cmd: exec.Command(args[0], args[1:]...), exited: make(chan struct{})}
	// A pipe of our own, for Wait closes the one of StdoutPipe under a reader
	// that is not done.
	stdout, childStdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.stdout = stdout
	c.cmd.Stdout = childStdout
	c.cmd.Stderr = &c.stderr
	// A grandchild may keep the standard error open after the command's end.
	c.cmd.WaitDelay = commandGrace
	if c.stdin, err = c.cmd.StdinPipe(); err == nil {
		err = c.cmd.Start()
	}
	childStdout.Close()
	if err != nil {
		stdout.Close()
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

func (c *command) Write(p []byte) (int, error) { return c.stdin.Write(p) }

// Read reads what the command writes. At the end it says how the command ended.
func (c *command) Read(p []byte) (int, error) {
	n, err := c.stdout.Read(p)
	if n == 0 && err == io.EOF {
		err = c.ending()
	}
	return n, err
}

// ending returns the error of a stream whose command has closed its output:
// io.EOF if it has nothing to say.
func (c *command) ending() error {
	c.wait()
	text := c.stderr.String()
	switch {
	case c.err != nil && text != "":
		return fmt.Errorf("%s: %w: %s", c.name, c.err, text)
	case c.err != nil:
		return fmt.Errorf("%s: %w", c.name, c.err)
	case text != "":
		return fmt.Errorf("%s ended: %s", c.name, text)
	}
	return io.EOF
}

// wait waits until the command has been reaped, having ended it if need be.
func (c *command) wait() {
	c.stdin.Close()
	grace := time.NewTimer(commandGrace)
	defer grace.Stop()
	select {
	case <-c.exited:
	case <-grace.C:
		c.cmd.Process.Kill()
		<-c.exited
	}
}

// Close ends the command and reaps it.
func (c *command) Close() error {
	err := os.ErrClosed
	c.closeOnce.Do(func() {
		c.stdin.Close()
		err = c.stdout.Close() // ends a Read, and a command that writes
		c.wait()
	})
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// tail is a writer that keeps the last bytes. Its methods may be called
// together.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - stderrTail; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
