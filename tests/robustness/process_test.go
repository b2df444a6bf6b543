package robustness

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// build builds the command once for each set of build tags.
func build(t *testing.T, tags string, race bool) string {
	t.Helper()
	name := fmt.Sprintf("mld-%s-%t", tags, race)
	once, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		binary := filepath.Join(scratch, name)
		args := []string{"build", "-o", binary, "-ldflags=-s -w", "-tags", tags}
		if race {
			args = append(args, "-race")
		}
		out, err := exec.Command("go", append(args, "../../cmd/mld")...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("go build: %w\n%s", err, out)
		}
		return binary, err
	}))
	binary, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

var builds sync.Map // of functions, by name

// process is a server in another process, which keeps its address over
// restarts.
type process struct {
	t       *testing.T
	binary  string
	args    []string
	address string // host:port

	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// startProcess starts mld serve, and ends it with the test.
func startProcess(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	p := &process{t: t, binary: binary, args: args, address: "127.0.0.1:0"}
	p.start()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.stderr.Len() > 0 {
			t.Logf("the server wrote:\n%s", p.stderr.Bytes())
		}
		if bytes.Contains(p.stderr.Bytes(), []byte("DATA RACE")) {
			t.Error("the server has a data race")
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.binary, append([]string{"serve", "--listen", "tcp://" + p.address}, p.args...)...)
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	watch := time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() })
	defer watch.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on tcp://")
	if !ok {
		p.kill()
		p.t.Fatalf("the server said %q (%v); stderr:\n%s", line, err, p.stderr.Bytes())
	}
	p.address = address
}

// kill ends the process as a crash would.
func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	p.cmd.Wait()         //nolint:errcheck // it was killed
}
