package party

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/memnet"
)

// TestServe has a guest serve clients of its own, which reach the host through it, and
// the guest itself when that has become the host. Their writes are done once.
func TestServe(t *testing.T) {
	dir, d := t.TempDir(), newDisk(t)
	host := join(t, dir, d.options())
	guest := join(t, dir, d.options())
	l := memnet.Listen("gateway")
	served := make(chan error, 1)
	go func() { served <- guest.Serve(l) }()
	c := client.New(func(ctx context.Context) (io.ReadWriteCloser, error) { return l.Dial(ctx) },
		&client.Options{ExactlyOnce: client.ExactlyOnceRequire})
	defer c.Close()
	mustPut(t, c, "key", "1")
	wantValue(t, host, "key", "1")

	release := d.stick()
	put := make(chan error, 1)
	go func() { put <- c.Put(testContext(t), []byte("key"), []byte("2"), nil) }()
	d.awaitStuck()
	die(t, host)
	awaitRole(t, guest, Host)
	release()
	if err := <-put; err != nil {
		t.Fatal(err)
	}
	wantValue(t, guest, "key", "2")
	if got := fmt.Sprint(d.written()); got != "[key=1 key=2]" {
		t.Errorf("written: %s", got)
	}
	s, err := Look(testContext(t), dir)
	if err != nil || !s.Hosted || s.Epoch != 2 || s.PID != guest.Role().HostPID || s.Guests != 1 {
		t.Errorf("Look: %+v, %v", s, err)
	}
	if err := guest.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, mld.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if s, err = Look(testContext(t), dir); err != nil || s.Hosted || s.Locked {
		t.Errorf("Look, when nobody hosts: %+v, %v", s, err)
	}
}

// TestShutdown drains for as long as a guest reads, until Close cuts it.
func TestShutdown(t *testing.T) {
	dir := t.TempDir()
	host := join(t, dir, nil)
	var b mld.Batch
	for i := range 2000 {
		b.Put([]byte(number(i)), make([]byte, 1000))
	}
	if err := host.Apply(testContext(t), &b, nil); err != nil {
		t.Fatal(err)
	}
	guest := join(t, dir, nil)
	it, err := guest.NewIterator(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	it.Next()
	down := make(chan error, 1)
	go func() { down <- host.Shutdown(context.Background()) }()
	awaitRole(t, guest, Seeking) // it has been told
	select {
	case err := <-down:
		t.Fatalf("Shutdown did not wait for a scan: %v", err)
	default:
	}
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-down; err != nil {
		t.Fatal(err)
	}
	awaitRole(t, guest, Host)
	n := 1
	for it.Next() {
		n++
	}
	if it.Err() != nil || n != 2000 {
		t.Errorf("the scan read %d entries and ended with %v", n, it.Err())
	}
}

// TestExplain has the system refuse what a host needs.
func TestExplain(t *testing.T) {
	dir := t.TempDir()
	path := func(op string, err error) error {
		return &fs.PathError{Op: op, Path: filepath.Join(dir, lockName), Err: err}
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{path("lock", syscall.ENOLCK), "no locks"},
		{path("lock", syscall.EOPNOTSUPP), "no locks"},
		{path("lock", syscall.EINVAL), "no locks"},
		{path("open", syscall.EROFS), "read-only"},
		{path("open", syscall.EACCES), "may not write"},
		{path("write", syscall.ENOSPC), "full"},
		{&mld.Error{Code: mld.CodeIO, Op: "open", Where: dir, Err: path("open", syscall.EROFS)}, "read-only"},
	} {
		err := explain(dir, c.err)
		if mld.CodeOf(err) != mld.CodeIO || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) || !errors.Is(err, errors.Unwrap(c.err)) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
	locked := &mld.Error{Code: mld.CodeLocked, Where: dir}
	if err := explain(dir, locked); err != error(locked) {
		t.Errorf("%v: %v", locked, err)
	}
}
