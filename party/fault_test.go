package party

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/wire"
)

// TestManyGuests lets the host of 50 guests die: one succeeds, and the others find it
// without each of them opening the store, or looking for it time and again.
func TestManyGuests(t *testing.T) {
	dir, d := t.TempDir(), newDisk(t)
	host := join(t, dir, d.options())
	const n = 50
	var lost atomic.Int64 // connections
	guests := make([]*Party, n)
	for i := range guests {
		o := d.options()
		o.OnRole = func(e Event) {
			if e.Role == Seeking {
				lost.Add(1)
			}
		}
		guests[i] = join(t, dir, o)
		mustPut(t, guests[i], number(i), "before")
	}
	start := time.Now()
	die(t, host)
	var wg sync.WaitGroup
	for i, g := range guests {
		wg.Go(func() {
			if err := g.Put(testContext(t), []byte(number(i)), []byte("after"), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.Logf("all %d guests had a write done %v after the end of the host", n, time.Since(start))
	if d.opens != 2 {
		t.Errorf("the store was opened %d times; want 2", d.opens)
	}
	hosts := 0
	for i, g := range guests {
		wantValue(t, g, number(i), "after")
		if g.Role().Role == Host {
			hosts++
		}
	}
	if hosts != 1 {
		t.Errorf("%d guests are the host", hosts)
	}
	if got := lost.Load(); got > 2*n {
		t.Errorf("%d guests looked for a host %d times", n, got)
	}
}

// TestDropped has a host that accepts connections and drops them: it is dialled ever
// more seldom.
func TestDropped(t *testing.T) {
	dir := t.TempDir()
	l := pretend(t, dir)
	var accepted atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			c.Close()
		}
	}()
	_, err := Join(dir, &Options{JoinTimeout: time.Second})
	if err == nil {
		t.Fatal("joined")
	}
	l.Close()
	<-done
	if n := accepted.Load(); n < 5 || n > 40 {
		t.Errorf("dialled %d times in a second", n)
	}
}

// pretend has the lock and the socket of a directory.
func pretend(t *testing.T, dir string) net.Listener {
	t.Helper()
	lock, err := pebblestore.LockDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(dir, socketName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		lock.Close()
	})
	return l
}

// TestStaleHost has a guest meet a host of an older epoch than it has seen, and one of
// another store.
func TestStaleHost(t *testing.T) {
	dir := t.TempDir()
	host := join(t, dir, nil)
	guest := join(t, dir, &Options{GuestOnly: true})
	now := host.hosting().record
	die(t, host)

	l := pretend(t, dir)
	store := memstore.New()
	defer store.Close()
	sessions, err := session.Open(t.Context(), store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sessions.Close()
	srv := server.New(store, &server.Options{Sessions: sessions})
	older := now
	older.Store, older.Epoch, older.Instance = fmt.Sprintf("%x", sessions.StoreID()), sessions.Generation(), srv.Instance()
	if err := older.write(dir); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l)
	}()
	defer func() {
		srv.Close()
		<-done
	}()
	ctx, cancel := contextWithin(t, 200*time.Millisecond)
	defer cancel()
	err = guest.Put(ctx, []byte("key"), []byte("value"), nil)
	if !errors.Is(err, mld.ErrNotSent) || !strings.Contains(err.Error(), "another store") {
		t.Errorf("a write with a host of another store: %v", err)
	}
	if got, _ := mld.Collect(t.Context(), srv.Store(), nil); len(got) > 0 {
		t.Errorf("the store of the wrong host has %v", got)
	}
	stale := *guest.last
	stale.Epoch--
	if err := guest.follow(&stale); err == nil {
		t.Error("a guest follows a host that was replaced")
	}
	if _, err := checkHost(dir, &wire.Welcome{}); err == nil {
		t.Error("a host without leases is not refused")
	}
}

// TestOpenFails has the store fail to open: at once in Join, and in a guest that is to
// take over, whose calls must fail and not wait, until somebody can.
func TestOpenFails(t *testing.T) {
	dir, d := t.TempDir(), newDisk(t)
	broken := errors.New("this disk is broken")
	d.fail = broken
	if _, err := Join(dir, d.options()); !errors.Is(err, broken) {
		t.Fatalf("Join: %v", err)
	}
	d.mu.Lock()
	d.fail = nil
	d.mu.Unlock()
	host := join(t, dir, d.options())
	guest := join(t, dir, d.options())
	release := d.stick()
	pending := make(chan error, 1)
	go func() { pending <- guest.Put(testContext(t), []byte("key"), []byte("value"), nil) }()
	d.awaitStuck()
	d.mu.Lock()
	d.fail = broken
	d.mu.Unlock()
	die(t, host)
	if err := <-pending; !errors.Is(err, broken) || !errors.Is(err, mld.ErrOutcomeUnknown) {
		t.Errorf("a write that was pending: %v", err)
	}
	if err := guest.Put(testContext(t), []byte("key"), []byte("value"), nil); !errors.Is(err, broken) || !errors.Is(err, mld.ErrNotSent) {
		t.Errorf("a write afterwards: %v", err)
	}
	if e := guest.Role(); e.Role != Seeking || !errors.Is(e.Err, broken) {
		t.Errorf("the guest is %+v", e)
	}
	release()
	d.mu.Lock()
	d.fail = nil
	d.mu.Unlock()
	awaitRole(t, guest, Host)
	mustPut(t, guest, "key", "healed")
}

// TestCloseWhileOpening closes, and gives up joining, while the store is being opened:
// the lock must be free afterwards.
func TestCloseWhileOpening(t *testing.T) {
	dir, d := t.TempDir(), newDisk(t)
	d.opening = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan error, 1)
	go func() {
		_, err := JoinContext(ctx, dir, d.options())
		joined <- err
	}()
	for {
		d.mu.Lock()
		n := d.opens
		d.mu.Unlock()
		if n > 0 {
			break
		}
		yield()
	}
	cancel()
	close(d.opening)
	if err := <-joined; !errors.Is(err, context.Canceled) {
		t.Fatalf("JoinContext: %v", err)
	}
	d.opening = nil
	join(t, dir, d.options())
}

// TestLocked has the directory locked by a program that uses the engine alone.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s, err := pebblestore.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = Join(dir, &Options{JoinTimeout: 50 * time.Millisecond})
	if !errors.Is(err, mld.ErrLocked) || time.Since(start) > 5*time.Second {
		t.Errorf("Join: %v after %v", err, time.Since(start))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p := join(t, dir, nil)
	if _, err := pebblestore.Open(dir, nil); !errors.Is(err, mld.ErrLocked) {
		t.Errorf("the engine opens a directory that is hosted: %v", err)
	}
	wantRole(t, p, Host)
}

func wantRole(t *testing.T, p *Party, want Role) {
	t.Helper()
	if e := p.Role(); e.Role != want {
		t.Errorf("the member is %+v", e)
	}
}

// TestRefusals joins what cannot be joined.
func TestRefusals(t *testing.T) {
	tmp := t.TempDir()
	file := filepath.Join(tmp, "file")
	if err := os.WriteFile(file, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	level := filepath.Join(tmp, "level")
	join(t, level, &Options{Engine: LevelDB})
	for _, c := range []struct {
		name, dir string
		o         *Options
		code      mld.Code
		text      string
	}{
		{"a file", file, nil, mld.CodeInvalidArgument, "not a directory"},
		{"below a file", filepath.Join(file, "db"), nil, mld.CodeIO, "not a directory"},
		{"something else", tmp, nil, mld.CodeInvalidArgument, "holds something else"},
		{"no name", "", nil, mld.CodeInvalidArgument, "empty"},
		{"another engine", level, &Options{Engine: Pebble}, mld.CodeInvalidArgument, "leveldb"},
		{"nobody hosts", t.TempDir(), &Options{GuestOnly: true, JoinTimeout: 20 * time.Millisecond}, mld.CodeConnectionLost, "no host"},
		{"sessions", t.TempDir(), &Options{Server: &server.Options{Sessions: &session.Registry{}}}, mld.CodeInvalidArgument, "Sessions"},
		{"no leases", t.TempDir(), &Options{Server: &server.Options{SnapshotLease: -1}}, mld.CodeInvalidArgument, "SnapshotLease"},
	} {
		p, err := Join(c.dir, c.o)
		if err == nil {
			p.Close()
		}
		if mld.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if names, _ := os.ReadDir(tmp); len(names) != 2 {
		t.Errorf("something was left in a directory that holds something else: %v", names)
	}
}
