package examples_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
)

// TestManyLevel starts the program when there is no server yet, and cuts its
// first connection.
func TestManyLevel(t *testing.T) {
	const again = "no connection, trying again"
	socket := filepath.Join(t.TempDir(), "sock")
	p := start(t, node(t, "many-level.js", socket))
	if line := p.line(t); line != again {
		t.Fatalf("without a server it wrote %q", line)
	}

	l := listen(t, "unix", socket)
	// The program may have ended instead.
	deadline := time.Now().Add(10 * time.Second)
	if err := l.(*net.UnixListener).SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		l.Close()
		t.Fatal(err)
	}
	if err := errors.Join(l.(*net.UnixListener).SetDeadline(time.Time{}), conn.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	// What is read here is the first write, which is lost.
	if _, err := conn.Read(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	conn.Close()

	store := memstore.New()
	serve(t, l, store)
	lines := slices.DeleteFunc(p.wait(t), func(line string) bool { return line == again })
	if !slices.Equal(lines, []string{"bob Bob"}) {
		t.Errorf("it wrote %q", lines)
	}
	expectValue(t, store, "!users!ann", `{"name":"Ann"}`)
}

func TestMultileveldown(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "sock")
	store := memstore.New()
	serve(t, listen(t, "unix", socket), store)
	p := start(t, node(t, "multileveldown.js", socket))
	if lines := p.wait(t); !slices.Equal(lines, []string{"Ann", "Key not found in database [bob]"}) {
		t.Errorf("it wrote %q", lines)
	}
	expectValue(t, store, "ann", `{"name":"Ann"}`)
}

// node returns the command that runs a program of the folder node.
func node(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	modules, err := filepath.Abs("../tests/interop/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Fatal("the Node packages are not installed: run `make test`, which installs them")
	}
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("there is no node in PATH: install Node.js 18 or later, then run `make test`")
	}
	file := filepath.Join("node", program)
	if _, err := os.Stat(file); err != nil { // see build
		t.Fatal(err)
	}
	cmd := exec.CommandContext(inAMinute(t), path, append([]string{file}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	return cmd
}

func expectValue(t *testing.T, store mld.Store, key, want string) {
	t.Helper()
	if got, err := store.Get(t.Context(), []byte(key)); err != nil || string(got) != want {
		t.Errorf("the value of %s is %q, %v; want %q", key, got, err, want)
	}
}
