//go:build unix

package pebblestore

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/multileveldown/mld"
)

// killEnv makes the test binary write to the store that it names, and kill itself.
const killEnv = "PEBBLESTORE_TEST_KILL"

func init() {
	dir := os.Getenv(killEnv)
	if dir == "" {
		return
	}
	fmt.Println(writeAndDie(dir))
	os.Exit(1)
}

func writeAndDie(dir string) error {
	s, err := Open(dir, nil)
	if err != nil {
		return err
	}
	for i := range 10 {
		if err := s.Put(context.Background(), fmt.Append(nil, i), nil, mld.NoSync); err != nil {
			return err
		}
	}
	for i := range 10 {
		var b mld.Batch
		b.Put(fmt.Append(nil, 10+i), nil)
		if err := s.ApplyDeferred(context.Background(), &b, nil); err != nil {
			return err
		}
	}
	if err := s.Harden(context.Background(), mld.NoSync); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// TestKill kills a process that has just had writes acknowledged which are not
// synced: they are there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v: %s", err, out)
	}
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 20 {
		if _, err := s.Get(t.Context(), fmt.Append(nil, i)); err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
}
