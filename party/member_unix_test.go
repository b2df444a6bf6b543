//go:build unix

package party

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// member is another process that is a member.
type member struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin interface{ Write([]byte) (int, error) }
	lines chan string
}

func startMember(t *testing.T, dir string, engine Engine) *member {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), memberEnv+"="+dir, memberEnv+"_ENGINE="+string(engine), "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, cmd: cmd, stdin: stdin, lines: make(chan string, 100)}
	go func() {
		defer close(m.lines)
		s := bufio.NewScanner(stdout)
		for s.Scan() {
			m.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGCONT)
		cmd.Process.Kill()
		cmd.Wait()
		for range m.lines {
		}
	})
	return m
}

// say sends a line.
func (m *member) say(format string, args ...any) {
	m.t.Helper()
	if _, err := fmt.Fprintf(m.stdin, format+"\n", args...); err != nil {
		m.t.Fatal(err)
	}
}

// await waits for a line that begins with want, and returns it.
func (m *member) await(want string) string {
	m.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-m.lines:
			if !ok {
				m.t.Fatalf("the member ended; waited for %q", want)
			}
			if strings.HasPrefix(line, "error") {
				m.t.Fatalf("the member failed: %s", line)
			}
			if strings.HasPrefix(line, want) {
				return line
			}
		case <-timeout:
			m.t.Fatalf("the member did not say %q in time", want)
		}
	}
}

func (m *member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// stop stops the process, and returns when all of it has stopped: the signal is
// only on its way when kill returns.
func (m *member) stop() {
	m.t.Helper()
	m.signal(syscall.SIGSTOP)
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(m.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			m.t.Fatalf("the member was not stopped: %v", err)
		}
		return
	}
}
