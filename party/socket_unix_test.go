//go:build unix

package party

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/unixsocket"
	"github.com/multileveldown/mld/store/pebblestore"
)

// TestWrongStore has the socket of one directory lead to the host of another, as one
// whose path was cut would: nothing may be read or written there.
func TestWrongStore(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	p := join(t, one, nil)
	mustPut(t, p, "key", "one")
	lock, err := pebblestore.LockDirectory(two) // so that it is not hosted
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := os.Symlink(filepath.Join(one, socketName), filepath.Join(two, socketName)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"no record", "a copied record"} {
		if name != "no record" {
			r := p.hosting().record
			r.Store, r.Instance = strings.Repeat("00", 16), r.Instance+1
			if err := r.write(two); err != nil {
				t.Fatal(err)
			}
		}
		q, err := Join(two, &Options{JoinTimeout: 50 * time.Millisecond})
		if err == nil {
			v, _ := q.Get(testContext(t), []byte("key"))
			t.Fatalf("%s: joined another directory's host, and read %q", name, v)
		}
		if !strings.Contains(err.Error(), recordName) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLongPath has directories whose sockets' paths are too long for the system and
// differ only after that length.
func TestLongPath(t *testing.T) {
	base := filepath.Join(t.TempDir(), strings.Repeat("long-", 30))
	one := filepath.Join(base, "one")
	two := filepath.Join(base, "two")
	p := join(t, one, nil)
	q := join(t, two, &Options{Engine: LevelDB})
	mustPut(t, p, "key", "one")
	mustPut(t, q, "key", "two")
	for dir, want := range map[string]string{one: "one", two: "two"} {
		g := join(t, dir, nil)
		if r := g.Role().Role; r != Guest {
			t.Errorf("the second on %s is %v", dir, r)
		}
		wantValue(t, g, "key", want)
		if len(filepath.Join(dir, socketName)) <= unixsocket.MaxPath {
			t.Error("the path is not too long")
		}
	}
}

// TestHashedPath looks at the folder where sockets are whose path has no short form.
func TestHashedPath(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", folder)
	a, err := hashedPath("/a", socketName)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hashedPath("/b", socketName)
	if err != nil || a == b || len(a) > unixsocket.MaxPath {
		t.Errorf("the sockets of two directories are %s and %s, %v", a, b, err)
	}
	if err := os.Chmod(filepath.Join(folder, "mld"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := hashedPath("/a", socketName); err == nil {
		t.Error("a folder that others may read is used")
	}
}

// TestCutPath has a socket at the path that is left of a long one when it is cut, as
// the npm packages cut them: it is of another directory, and nobody may look there.
func TestCutPath(t *testing.T) {
	base := t.TempDir()
	name := strings.Repeat("x", unixsocket.MaxPath-len(base)-1-len("/one"))
	one := filepath.Join(base, name, "one")
	two := one + "-and-more"
	for _, s := range nodeSockets {
		for _, dir := range []string{one, two} {
			if cut := filepath.Join(dir, s.name)[:unixsocket.MaxPath]; cut != one {
				t.Fatalf("%s is left of the path; want %s", cut, one)
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(one), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := unixsocket.Listen(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	acceptAll(t, l, func(c net.Conn) {
		t.Error("somebody connects to the socket at the cut path")
		c.Close()
	})
	lockLevelDB(t, two)
	if _, err := Join(two, &Options{JoinTimeout: 50 * time.Millisecond}); !errors.Is(err, mld.ErrLocked) {
		t.Errorf("Join: %v", err)
	}
}
