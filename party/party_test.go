package party

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/multileveldown/mld"
)

var long = flag.Bool("long", false, "run the long forms of the tests")

func contextWithin(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func TestRoles(t *testing.T) {
	dir := t.TempDir()
	host := join(t, dir, nil)
	if e := host.Role(); e.Role != Host || e.Epoch != 1 || e.HostPID == 0 {
		t.Fatalf("the first is %+v", e)
	}
	guest := join(t, dir, nil)
	if e := guest.Role(); e.Role != Guest || e.Epoch != 1 || e.HostPID != host.Role().HostPID {
		t.Fatalf("the second is %+v", e)
	}
	mustPut(t, host, "a", "1")
	wantValue(t, guest, "a", "1")
	mustPut(t, guest, "b", "2")
	wantValue(t, host, "b", "2")

	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if e := awaitRole(t, guest, Host); e.Epoch != 2 {
		t.Fatalf("the successor is %+v", e)
	}
	wantValue(t, guest, "a", "1")
	wantValue(t, guest, "b", "2")
	if _, err := host.Get(testContext(t), []byte("a")); !errors.Is(err, mld.ErrClosed) {
		t.Fatalf("Get after Close: %v", err)
	}
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if err := guest.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{socketName, recordName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, lockName)); err != nil {
		t.Errorf("the file to lock is gone: %v", err)
	}
	join(t, dir, nil)
}

// TestTurns has members come and go.
func TestTurns(t *testing.T) {
	for _, engine := range []Engine{Pebble, LevelDB} {
		t.Run(string(engine), func(t *testing.T) {
			dir := t.TempDir()
			old := join(t, dir, &Options{Engine: engine})
			for i := range 5 {
				next := join(t, dir, nil)
				mustPut(t, next, number(i), "x")
				if err := old.Close(); err != nil {
					t.Fatal(err)
				}
				awaitRole(t, next, Host)
				for j := range i + 1 {
					wantValue(t, next, number(j), "x")
				}
				old = next
			}
		})
	}
}
