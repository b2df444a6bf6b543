package party

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
)

// lockLevelDB makes a LevelDB store in the directory and locks it, as a Node process
// does that hosts it.
func lockLevelDB(t *testing.T, dir string) {
	t.Helper()
	s, err := leveldbstore.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := leveldbstore.LockDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
}

// acceptAll gives f the connections that a socket accepts until the test ends.
func acceptAll(t *testing.T, l net.Listener, f func(net.Conn)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// TestNodeHostDrops has a Node host that accepts connections and drops them: Join
// says that nobody answers, and the host is dialled ever more seldom.
func TestNodeHostDrops(t *testing.T) {
	for _, s := range nodeSockets {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lockLevelDB(t, dir)
			l, err := listen(dir, s.name)
			if err != nil {
				t.Fatal(err)
			}
			var accepted atomic.Int64
			acceptAll(t, l, func(c net.Conn) {
				accepted.Add(1)
				c.Close()
			})
			_, err = Join(dir, &Options{JoinTimeout: time.Second})
			if !errors.Is(err, mld.ErrLocked) {
				t.Errorf("Join: %v", err)
			}
			t.Logf("dialled %d times in a second", accepted.Load())
			if n := accepted.Load(); n < 5 || n > 40 {
				t.Errorf("dialled %d times in a second", n)
			}
		})
	}
}

// TestNodeHostSilent has a Node host that is stopped: the system takes connections for
// it, and nobody answers.
func TestNodeHostSilent(t *testing.T) {
	dir := t.TempDir()
	lockLevelDB(t, dir)
	l, err := listen(dir, nodeSockets[0].name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	start := time.Now()
	if _, err = Join(dir, &Options{JoinTimeout: 50 * time.Millisecond}); err == nil {
		t.Error("joined a host that does not answer")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Join took %v", took)
	}
}

// TestDamagedStore has a store that cannot be opened: Join says so at once, and lets go
// of the lock.
func TestDamagedStore(t *testing.T) {
	for _, engine := range []Engine{Pebble, LevelDB} {
		t.Run(string(engine), func(t *testing.T) {
			dir := t.TempDir()
			p := join(t, dir, &Options{Engine: engine})
			mustPut(t, p, "key", "value")
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			manifests, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
			if err != nil || len(manifests) == 0 {
				t.Fatalf("manifests: %q, %v", manifests, err)
			}
			for _, m := range manifests {
				if err := os.WriteFile(m, []byte("this is no manifest"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			start := time.Now()
			if _, err := Join(dir, &Options{JoinTimeout: time.Minute}); !errors.Is(err, mld.ErrCorruption) {
				t.Errorf("Join: %v; want corruption", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("Join took %v", took)
			}
			wantUnlocked(t, dir)
		})
	}
}

// wantUnlocked fails if somebody has the lock of the directory.
func wantUnlocked(t *testing.T, dir string) {
	t.Helper()
	lock, err := leveldbstore.LockDirectory(dir) // the same of all engines
	if err != nil {
		t.Errorf("the lock was not let go: %v", err)
		return
	}
	lock.Close()
}
