//go:build unix

package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The packages that make a party of Node processes, and ours.
const (
	levelParty = "level-party"
	raveLevel  = "rave-level"
	ours       = "go"
)

// partyPackages are the packages, with the dialect that each speaks.
var partyPackages = map[string]string{levelParty: multileveldown, raveLevel: manyLevel}

// patience is how long a test waits for what ought to take milliseconds.
const patience = 30 * time.Second

// member is a process that is a member of a party.
type member struct {
	t     *testing.T
	kind  string
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	err   bytes.Buffer  // what it wrote to standard error
	done  chan struct{} // closed when it has ended

	onLine func()

	mu    sync.Mutex
	lines []string // that nobody has awaited yet
	hosts bool
	acked map[int]int   // the last write of each lane
	news  chan struct{} // closed at the next line
}

// startMember starts a member, by the name of its package. It ends with the test.
// OnLine, unless it is nil, is called after each line that the member says.
func startMember(t *testing.T, kind, dir, name string, onLine func()) *member {
	t.Helper()
	m := &member{
		t: t, kind: kind, name: name, onLine: onLine,
		done: make(chan struct{}), acked: map[int]int{}, news: make(chan struct{}),
	}
	if kind == ours {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		m.cmd = exec.CommandContext(t.Context(), exe)
		m.cmd.Env = append(os.Environ(), memberEnv+"="+dir, memberNameEnv+"="+name, "GORACE=atexit_sleep_ms=0")
	} else {
		m.cmd = nodeCommand(t, "party.js", kind, dir, name)
	}
	m.cmd.Stderr = &m.err
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go m.read(stdout)
	t.Cleanup(func() {
		m.kill()
		if t.Failed() && m.err.Len() > 0 {
			t.Logf("%s wrote:\n%s", m.name, m.err.Bytes())
		}
	})
	return m
}

// read takes what the member says, until it ends.
func (m *member) read(stdout io.Reader) {
	for s := bufio.NewScanner(stdout); s.Scan(); {
		m.mu.Lock()
		var lane, n int
		if _, err := fmt.Sscanf(s.Text(), "ack %d %d", &lane, &n); err == nil {
			m.acked[lane] = n
		} else {
			m.hosts = m.hosts || s.Text() == "host"
			m.lines = append(m.lines, s.Text())
		}
		close(m.news)
		m.news = make(chan struct{})
		m.mu.Unlock()
		if m.onLine != nil {
			m.onLine()
		}
	}
	m.cmd.Wait() //nolint:errcheck // it may have been killed
	close(m.done)
}

// kill ends the process as a crash does, and waits for that.
func (m *member) kill() {
	m.cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-m.done
}

func (m *member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// stop stops the process, and returns when all of it has stopped.
func (m *member) stop() {
	m.t.Helper()
	m.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(m.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			m.t.Fatalf("%s was not stopped: %v", m.name, err)
		}
		return
	}
}

// say tells the member to do something.
func (m *member) say(words ...any) {
	m.t.Helper()
	if _, err := fmt.Fprintln(m.stdin, words...); err != nil {
		<-m.done
		m.t.Fatalf("%s ended: %v, having said %q\n%s", m.name, m.cmd.ProcessState, m.lines, m.err.Bytes())
	}
}

// await waits for a line that begins with a word, and returns the others.
func (m *member) await(word string) []string {
	m.t.Helper()
	var found []string
	m.until(strconv.Quote(word), func() bool {
		for i, line := range m.lines {
			if words := strings.Fields(line); words[0] == word {
				m.lines = append(m.lines[:i], m.lines[i+1:]...)
				found = words[1:]
				return true
			}
		}
		return false
	})
	return found
}

// until waits until a condition holds of what the member has said.
func (m *member) until(what string, holds func() bool) {
	m.t.Helper()
	timeout := time.After(patience)
	for {
		done := m.over()
		m.mu.Lock()
		ok, news := holds(), m.news
		m.mu.Unlock()
		switch {
		case ok:
			return
		case done || m.failed():
			<-m.done
			m.t.Fatalf("%s ended: %v, having said %q; waited for %s\n%s", m.name, m.cmd.ProcessState, m.lines, what, m.err.Bytes())
		}
		select {
		case <-news:
		case <-m.done:
		case <-timeout:
			m.t.Fatalf("%s said %q, and in %v not %s", m.name, m.lines, patience, what)
		}
	}
}

// over reports whether the member has ended.
func (m *member) over() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// failed reports whether the member has said an error, with which it ends.
func (m *member) failed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.lines, func(line string) bool { return strings.HasPrefix(line, "error") })
}

// hosting reports whether the member has become the host.
func (m *member) hosting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hosts
}

// acks returns how many writes were acknowledged.
func (m *member) acks() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, last := range m.acked {
		n += last
	}
	return n
}
