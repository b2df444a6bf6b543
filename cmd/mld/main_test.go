package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// binary is the command under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mld-test-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "mld")
	args := []string{"build", "-o", binary}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		panic(fmt.Sprintf("go build: %v\n%s", err, out))
	}
	goleak.VerifyTestMain(m,
		// It ends by itself, up to a second after its store was closed.
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		goleak.Cleanup(func(code int) {
			os.RemoveAll(dir)
			os.Exit(code)
		}))
}

// deadline is after what time a process that should have ended is killed, so
// that a test fails instead of hanging.
const deadline = time.Minute

// environment is that of every process of the tests.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, dbEnv+"=") })
	// Else every process sleeps for a second before it ends.
	return append(env, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
}

// result is how a process ended.
type result struct {
	code   int
	stdout string
	stderr string
}

// cli runs the command to its end.
func cli(t *testing.T, args ...string) result {
	t.Helper()
	return cliWith(t, nil, args...)
}

// cliWith runs the command to its end with this stdin.
func cliWith(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// ok fails the test unless the process ended well, and returns its stdout.
func (r result) ok(t *testing.T) string {
	t.Helper()
	if r.code != exitOK {
		t.Fatalf("exit code %d; stderr:\n%s", r.code, r.stderr)
	}
	return r.stdout
}

// failed fails the test unless the process ended with this exit code, nothing on
// stdout, and every one of the texts on stderr.
func (r result) failed(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code || r.stdout != "" {
		t.Errorf("exit code %d, stdout %q; want %d and nothing", r.code, r.stdout, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("stderr does not have %q:\n%s", text, r.stderr)
		}
	}
}

// process is a server that runs.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string // the first that it listens on
	stderr  *log
	waited  bool
}

// serve starts mld serve and waits until it listens. Without --listen among the
// arguments, that is on any free port.
func serve(t *testing.T, args ...string) *process {
	t.Helper()
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "tcp://127.0.0.1:0")
	}
	p := &process{t: t, cmd: exec.Command(binary, append([]string{"serve"}, args...)...), stderr: newLog()}
	p.cmd.Env = environment()
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !p.waited {
			p.kill()
		}
		if text := p.stderr.String(); strings.Contains(text, "DATA RACE") {
			t.Errorf("the server has a data race:\n%s", text)
		}
	})
	watch := time.AfterFunc(deadline, func() { p.cmd.Process.Kill() })
	defer watch.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		p.wait()
		t.Fatalf("the server said %q (%v); stderr:\n%s", line, err, p.stderr)
	}
	p.address = address
	return p
}

// wait waits for the end of the process and returns its exit code, -1 if a
// signal ended it.
func (p *process) wait() int {
	p.t.Helper()
	watch := time.AfterFunc(deadline, func() {
		p.t.Error("the server does not end")
		p.cmd.Process.Kill()
	})
	defer watch.Stop()
	p.waited = true
	p.cmd.Wait() //nolint:errcheck // the exit code says it
	return p.cmd.ProcessState.ExitCode()
}

// kill ends the process as a crash would.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.wait()
}

// signal sends a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// stop ends the process as its user would.
func (p *process) stop() {
	p.t.Helper()
	p.signal(os.Interrupt)
	if code := p.wait(); code != exitOK {
		p.t.Fatalf("exit code %d; stderr:\n%s", code, p.stderr)
	}
}
