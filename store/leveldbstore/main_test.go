package leveldbstore

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// Some tests run a part of themselves in a process of its own, which then ends
// as it should not. It is the test binary, with the part and the directory in
// the environment.
const (
	childEnv    = "LEVELDBSTORE_TEST_CHILD"
	childDirEnv = "LEVELDBSTORE_TEST_DIR"
)

var children = map[string]func(dir string) error{
	"failed commit": failedCommit,
	"killed":        killed,
	"goleveldb":     holdWithGoleveldb,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](os.Getenv(childDirEnv)); err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	// This goroutine of goleveldb ends by itself, up to a second after Close.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// startChild starts a part and returns the first line that it prints. What it
// reads ends when end is called, which waits for it.
func startChild(t *testing.T, name, dir string) (said string, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+name, childDirEnv+"="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		stdin.Close()
		cmd.Wait()
	}
	t.Cleanup(end)
	said, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return strings.TrimSuffix(said, "\n"), end
}
