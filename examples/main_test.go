package examples_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
)

// programs is where build puts the examples and the command.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "mld-examples-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(programs)
		os.Exit(code)
	}))
}

var build = sync.OnceValue(func() error {
	// What a test has looked at is what its cached result depends on, and the
	// files that another program reads are not.
	for _, pattern := range []string{"*/*.go", "../cmd/mld/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				return err
			}
		}
	}
	out, err := exec.Command("go", "build", "-o", programs+string(filepath.Separator), "./...", "../cmd/mld").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// command returns the command that runs a program of ours. It is killed if it
// has not ended by itself after a minute.
func command(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(inAMinute(t), filepath.Join(programs, program), args...)
}

func inAMinute(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// run runs a program of ours to its end and returns what it wrote, to stderr
// too.
func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	out, err := command(t, program, args...).CombinedOutput()
	return string(out), err
}

// mustRun is run for what must work.
func mustRun(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := run(t, program, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return out
}

// process is a program that runs.
type process struct {
	cmd   *exec.Cmd
	out   *bufio.Scanner
	lines []string // what it has written so far
}

// start starts a program. It ends with the test at the latest.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, out: bufio.NewScanner(out)}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			p.rest()
			cmd.Wait()
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd, strings.Join(p.lines, "\n"))
		}
	})
	return p
}

// rest returns the lines that the program writes until it ends.
func (p *process) rest() []string {
	n := len(p.lines)
	for p.out.Scan() {
		p.lines = append(p.lines, p.out.Text())
	}
	return p.lines[n:]
}

// line waits for the next line that the program writes, to stdout or stderr.
func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("%s ended, or takes too long: %v", p.cmd, p.out.Err())
	}
	p.lines = append(p.lines, p.out.Text())
	return p.out.Text()
}

// address waits for the line that says where the program listens.
func (p *process) address(t *testing.T) string {
	t.Helper()
	line := p.line(t)
	address, ok := strings.CutPrefix(line, "listening on ")
	if !ok {
		t.Fatalf("%s wrote %q", p.cmd, line)
	}
	return address
}

// wait waits for the program to end, well, and returns the lines that it wrote
// until then.
func (p *process) wait(t *testing.T) []string {
	t.Helper()
	lines := p.rest()
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%s: %v", p.cmd, err)
	}
	return lines
}

// stop asks the program to end, and is wait then.
func (p *process) stop(t *testing.T) []string {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

// serve serves a store until the test ends.
func serve(t *testing.T, l net.Listener, store mld.Store) {
	t.Helper()
	srv := server.New(store, nil)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-ended; err != server.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
