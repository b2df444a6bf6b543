package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The names of the dialects, and of the packages' generations of stores, in
// the Node programs.
const (
	multileveldown = "multileveldown"
	manyLevel      = "many-level"
)

var dialects = []string{multileveldown, manyLevel}

// nodeCommand returns the command that runs a program of js. It ends with the
// test at the latest.
func nodeCommand(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := os.Stat("node_modules"); err != nil {
		t.Fatal("the Node packages are not installed here: run `make test`, which installs them")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("there is no node in PATH: install Node.js 18 or later, then run `make test`")
	}
	return exec.CommandContext(t.Context(), node, append([]string{filepath.Join("js", program)}, args...)...)
}

// runNode runs a program of js to its end and returns what it printed. A
// program that fails fails the test.
func runNode(t testing.TB, program string, args ...string) []byte {
	t.Helper()
	cmd := nodeCommand(t, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", program, args, err, out, stderr.Bytes())
	}
	return out
}

// runNodeJSON runs a program of js and decodes what it printed into v.
func runNodeJSON(t testing.TB, v any, program string, args ...string) {
	t.Helper()
	out := runNode(t, program, args...)
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("%s %q printed %q: %v", program, args, out, err)
	}
}

// startHost starts a real host and returns its address. It ends with the test.
func startHost(t testing.TB, dialect string, args ...string) (addr string) {
	t.Helper()
	cmd := nodeCommand(t, "host.js", append([]string{"--dialect", dialect}, args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("the %s host wrote:\n%s", dialect, stderr.Bytes())
		}
	})

	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var ready struct{ Address string }
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		t.Fatalf("the %s host did not start: %v, having printed %q", dialect, err, line)
	}
	return ready.Address
}
