package filelock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// holdEnv makes the test binary hold the lock of a process on the file that it
// names, as C++ LevelDB does, until its standard input ends.
const holdEnv = "FILELOCK_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdEnv); path != "" {
		if err := hold(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func hold(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startHolder runs hold in another process, and returns its first line and a
// function that ends it.
func startHolder(t *testing.T, path string) (said string, pid int, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+path, "GORACE=atexit_sleep_ms=0")
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
	if err != nil {
		t.Fatal(err)
	}
	return said[:len(said)-1], cmd.Process.Pid, end
}

func wantHeld(t *testing.T, err error, pid int) {
	t.Helper()
	var held *HeldError
	if !errors.As(err, &held) {
		t.Fatalf("error %v; want a HeldError", err)
	}
	if held.PID != pid {
		t.Fatalf("held by process %d; want %d", held.PID, pid)
	}
}

func mustLock(t *testing.T, lock func(string) (*Lock, error), path string) *Lock {
	t.Helper()
	l, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestExclusion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "LOCK")
	first := mustLock(t, Exclusive, path)
	_, err := Exclusive(path)
	wantHeld(t, err, 0)
	_, err = Shared(path)
	wantHeld(t, err, 0)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	readers := []*Lock{mustLock(t, Shared, path), mustLock(t, Shared, path)}
	_, err = Exclusive(path)
	wantHeld(t, err, 0)
	for _, r := range readers {
		r.Close()
	}
	mustLock(t, Exclusive, path)
}

func TestProcessLockIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "LOCK")
	said, pid, end := startHolder(t, path)
	if said != "held" {
		t.Fatal(said)
	}
	_, err := Exclusive(path)
	wantHeld(t, err, pid)
	_, err = Shared(path)
	wantHeld(t, err, pid)
	end()
	mustLock(t, Exclusive, path)
}

func TestLockIsSeenByProcesses(t *testing.T) {
	for name, lock := range map[string]func(string) (*Lock, error){"exclusive": Exclusive, "shared": Shared} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "LOCK")
			l := mustLock(t, lock, path)
			if said, _, _ := startHolder(t, path); said == "held" {
				t.Fatal("another process took the lock of the file while it was held")
			}
			// Unlike a lock of a process, it outlives other descriptors.
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if said, _, _ := startHolder(t, path); said == "held" {
				t.Fatal("the lock went with another descriptor of the file")
			}
			l.Close()
			if said, _, _ := startHolder(t, path); said != "held" {
				t.Fatalf("the lock stayed after it was closed: %s", said)
			}
		})
	}
}

func TestDeletedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "LOCK")
	l := mustLock(t, Exclusive, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if current, err := isCurrent(l.f, path); current || err != nil {
		t.Fatalf("a deleted file is current: %t, %v", current, err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if current, err := isCurrent(l.f, path); current || err != nil {
		t.Fatalf("a file whose name another one took is current: %t, %v", current, err)
	}
}
