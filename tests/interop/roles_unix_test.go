//go:build unix

package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/party"
	"github.com/multileveldown/mld/store/leveldbstore"
)

// joinParty makes this process a member.
func joinParty(t *testing.T, dir string, o party.Options) *party.Party {
	t.Helper()
	o.Engine = party.LevelDB
	p, err := party.Join(dir, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

// impatient returns a context for what ought to take milliseconds.
func impatient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func mustPut(t *testing.T, s mld.Writer, key, value string) {
	t.Helper()
	if err := s.Put(impatient(t), []byte(key), []byte(value), nil); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s mld.Reader, key, want string) {
	t.Helper()
	v, err := s.Get(impatient(t), []byte(key))
	if err != nil || string(v) != want {
		t.Fatalf("Get(%q) = %q, %v; want %q", key, v, err, want)
	}
}

// wantScan compares a range with entries, each "key=value".
func wantScan(t *testing.T, s mld.Reader, r mld.Range, want ...string) {
	t.Helper()
	entries, err := mld.Collect(impatient(t), s, &mld.IterOptions{Range: r})
	got := make([]string, len(entries))
	for i, e := range entries {
		got[i] = fmt.Sprintf("%s=%s", e.Key, e.Value)
	}
	if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("a scan found %q, %v; want %q", got, err, want)
	}
}

// wantSaid has a member do something, and compares what it says.
func wantSaid(t *testing.T, m *member, do, want string) {
	t.Helper()
	m.say(do)
	said := strings.Fields(want)
	if got := m.await(said[0]); strings.Join(got, " ") != strings.Join(said[1:], " ") {
		t.Fatalf("%s: %s: it said %q after %q; want %q", m.name, do, got, said[0], said[1:])
	}
}

// startHosting starts a member that becomes the host.
func startHosting(t *testing.T, kind, dir string) *member {
	t.Helper()
	m := startMember(t, kind, dir, kind, nil)
	m.await("host")
	m.await("joined")
	return m
}

// TestGuestOfNode joins a process of an npm package, in a directory that was hosted
// by ours before.
func TestGuestOfNode(t *testing.T) {
	for pkg := range partyPackages {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			before := joinParty(t, dir, party.Options{})
			mustPut(t, before, "a", "1")
			if err := before.Close(); err != nil {
				t.Fatal(err)
			}
			host := startHosting(t, pkg, dir)
			pid := host.cmd.Process.Pid

			guest := joinParty(t, dir, party.Options{})
			if e := guest.Role(); e.Role != party.Guest || e.Epoch != 0 || e.HostPID != pid {
				t.Errorf("the role is %+v; want that of a guest of process %d", e, pid)
			}
			if s, err := party.Look(impatient(t), dir); err != nil || !s.Hosted || s.Protocol != pkg || s.PID != pid {
				t.Errorf("Look: %+v, %v", s, err)
			}
			wantValue(t, guest, "a", "1")
			mustPut(t, guest, "b", "2")
			var b mld.Batch
			b.Put([]byte("c"), []byte("3"))
			b.Put([]byte("d"), []byte("4"))
			b.Delete([]byte("a"))
			if err := guest.Apply(impatient(t), &b, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := guest.Get(impatient(t), []byte("a")); !errors.Is(err, mld.ErrNotFound) {
				t.Errorf("Get of what was deleted: %v", err)
			}
			// All there is, but for our records.
			wantScan(t, guest, mld.Range{}, "b=2", "c=3", "d=4")
			wantScan(t, guest, mld.Range{Reverse: true, Limit: 2, LT: []byte("d")}, "c=3", "b=2")
			wantSaid(t, host, "scan a e", "scanned b=2 c=3 d=4")
			wantSaid(t, host, "batch e=5 -b", "batch")
			wantScan(t, guest, mld.Range{}, "c=3", "d=4", "e=5")
			if err := guest.Clear(impatient(t), mld.Range{LT: []byte("e")}, nil); err != nil {
				t.Fatal(err)
			}
			wantSaid(t, host, "scan a z", "scanned e=5")

			if _, err := guest.NewSnapshot(impatient(t)); !errors.Is(err, mld.ErrUnsupported) {
				t.Errorf("NewSnapshot: %v", err)
			}
			if _, err := guest.Stats(impatient(t)); !errors.Is(err, mld.ErrUnsupported) {
				t.Errorf("Stats: %v", err)
			}
			strict := joinParty(t, dir, party.Options{Client: &client.Options{ExactlyOnce: client.ExactlyOnceRequire}})
			err := strict.Put(impatient(t), []byte("x"), []byte("9"), nil)
			if !errors.Is(err, mld.ErrUnsupported) || mld.OutcomeOf(err) != mld.NotApplied || !strings.Contains(err.Error(), "once") {
				t.Errorf("Put that requires to be done once: %v", err)
			}
			wantSaid(t, host, "get x", "got")

			_, err = leveldbstore.Open(dir, nil)
			if !errors.Is(err, mld.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
				t.Errorf("Open of what process %d hosts: %v", pid, err)
			}
			_, err = party.Join(dir, &party.Options{NoNode: true, JoinTimeout: 50 * time.Millisecond})
			if !errors.Is(err, mld.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
				t.Errorf("Join without Node of what process %d hosts: %v", pid, err)
			}

			// Node clears our records, too, which is no sign of another directory.
			other := joinParty(t, dir, party.Options{GuestOnly: true})
			wantSaid(t, host, "clear", "clear")
			host.kill()
			mustPut(t, other, "f", "6")
			mustPut(t, strict, "g", "7")
			wantScan(t, guest, mld.Range{}, "f=6", "g=7")
		})
	}
}

// TestHostToNode has processes of both npm packages as guests at once.
func TestHostToNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	host := joinParty(t, dir, party.Options{})
	mustPut(t, host, "a", "host")
	var guests []*member
	for pkg := range partyPackages {
		guest := startMember(t, pkg, dir, pkg, nil)
		guest.await("joined")
		guests = append(guests, guest)
	}
	for i, guest := range guests {
		other := guests[1-i]
		wantSaid(t, guest, "get a", "got host")
		wantSaid(t, guest, "put b "+guest.name, "put")
		wantValue(t, host, "b", guest.name)
		wantSaid(t, other, "get b", "got "+guest.name)
		wantSaid(t, guest, "batch c="+guest.name+" d=4 -b", "batch")
		wantSaid(t, other, "scan a z", "scanned a=host c="+guest.name+" d=4")
		// No bound shows more.
		wantSaid(t, guest, "scan  \xff\xff\xff", "scanned a=host c="+guest.name+" d=4")
		wantScan(t, host, mld.Range{}, "a=host", "c="+guest.name, "d=4")
		if guest.hosting() {
			t.Errorf("%s hosts", guest.name)
		}
	}
	if e := host.Role(); e.Role != party.Host {
		t.Errorf("the role is %+v", e)
	}
	for _, pkg := range levelDBPackages {
		var said struct{ Error string }
		runNodeJSON(t, &said, "leveldb-dir.js", pkg, dir, "hold")
		if !strings.Contains(said.Error, "lock") {
			t.Errorf("%s opens what is hosted: %q", pkg, said.Error)
		}
	}
}

// TestSocketsLeftBehind has a host of each kind follow one of each kind that was
// killed, and left its sockets.
func TestSocketsLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	value := ""
	for i, kind := range []string{ours, ours, levelParty, levelParty, raveLevel, raveLevel, ours, raveLevel, levelParty, ours} {
		host := startHosting(t, kind, dir)
		if i > 0 {
			wantSaid(t, host, "get key", "got "+value)
		}
		value = strconv.Itoa(i)
		wantSaid(t, host, "put key "+value, "put")
		guest := joinParty(t, dir, party.Options{GuestOnly: true})
		wantValue(t, guest, "key", value)
		if err := guest.Close(); err != nil {
			t.Fatal(err)
		}
		host.kill()
	}
}

// big is how many entries there are to scan, more in all than is sent ahead.
const big = 2000

func bigKey(i int) string { return fmt.Sprintf("big-%05d", i) }

func putBig(t *testing.T, s mld.Store) {
	t.Helper()
	var b mld.Batch
	value := bytes.Repeat([]byte("v"), 1000)
	for i := range big {
		b.Put([]byte(bigKey(i)), value)
	}
	if err := s.Apply(impatient(t), &b, nil); err != nil {
		t.Fatal(err)
	}
}

// half is a scan of the big range that is half read.
type half struct {
	it   mld.Iterator
	read int
}

func startHalf(t *testing.T, s mld.Store) *half {
	t.Helper()
	it, err := s.NewIterator(t.Context(), &mld.IterOptions{Range: mld.Range{GTE: []byte("big-"), LT: []byte("big.")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { it.Close() })
	h := &half{it: it}
	for h.read < 10 && h.next(t) {
	}
	return h
}

func (h *half) next(t *testing.T) bool {
	t.Helper()
	if !h.it.Next() {
		return false
	}
	if got, want := string(h.it.Key()), bigKey(h.read); got != want {
		t.Fatalf("the scan returned %s; want %s", got, want)
	}
	h.read++
	return true
}

// rest reads what is left, which must be all.
func (h *half) rest(t *testing.T) {
	t.Helper()
	for h.next(t) {
	}
	if err := h.it.Err(); err != nil || h.read != big {
		t.Errorf("the scan returned %d of %d entries: %v", h.read, big, err)
	}
}

// pend has a member issue writes while its host is stopped. The outcomes come when
// there is a host again.
func pend(t *testing.T, p *party.Party, n int) (outcomes func() []error) {
	t.Helper()
	var wg, started sync.WaitGroup
	started.Add(n)
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			started.Done()
			errs[i] = p.Put(impatient(t), fmt.Appendf(nil, "pending-%d", i), []byte("value"), nil)
		})
	}
	started.Wait()
	// That one was sent which times out shows that the host takes its time.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Put(ctx, []byte("late"), nil, nil); mld.OutcomeOf(err) != mld.Unknown {
		t.Fatalf("a write to a host that is stopped: %v", err)
	}
	return func() []error {
		wg.Wait()
		return errs
	}
}

func awaitRole(t *testing.T, p *party.Party, want party.Role) party.Event {
	t.Helper()
	ctx := impatient(t)
	for {
		e, changed := p.Watch()
		if e.Role == want {
			return e
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the member is %v, and did not become %v: %v", e.Role, want, e.Err)
		}
	}
}

// TestTakeOverFromNode kills a Node host of which ours and one of its own kind are
// guests, with scans half read and writes pending.
func TestTakeOverFromNode(t *testing.T) {
	for pkg := range partyPackages {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			host := startHosting(t, pkg, dir)
			next := joinParty(t, dir, party.Options{})
			other := joinParty(t, dir, party.Options{GuestOnly: true})
			node := startMember(t, pkg, dir, pkg+" guest", nil)
			node.await("joined")
			putBig(t, next)
			scans := []*half{startHalf(t, next), startHalf(t, other)}
			node.say("half big- big. 10")
			node.await("half")

			host.stop()
			outcomes := pend(t, next, 10)
			node.say("put node value")
			node.stop() // so that ours is the next
			host.kill()
			awaitRole(t, next, party.Host)
			node.signal(syscall.SIGCONT)
			for _, err := range outcomes() {
				if err != nil {
					t.Errorf("a write that was pending: %v", err)
				}
			}
			awaitRole(t, other, party.Guest)
			for i := range 10 {
				wantValue(t, other, fmt.Sprintf("pending-%d", i), "value")
			}
			for _, scan := range scans {
				scan.rest(t)
			}
			node.await("put")
			wantValue(t, next, "node", "value")
			node.say("rest")
			if got := node.await("rest"); got[1] != strconv.Itoa(big) { // some of it twice
				t.Errorf("the scan of %s returned %s entries, %s of them different; want %d", pkg, got[0], got[1], big)
			}
		})
	}
}

// TestTakeOverByNode kills a host, of ours and of Node, of which a Node process becomes
// the successor.
func TestTakeOverByNode(t *testing.T) {
	for pkg := range partyPackages {
		for _, before := range []string{ours, pkg} {
			t.Run(before+" to "+pkg, func(t *testing.T) {
				t.Parallel()
				testTakeOverByNode(t, before, pkg)
			})
		}
	}
}

func testTakeOverByNode(t *testing.T, before, pkg string) {
	dir := t.TempDir()
	host := startHosting(t, before, dir)
	guest := joinParty(t, dir, party.Options{GuestOnly: true})
	repeating := joinParty(t, dir, party.Options{GuestOnly: true, Client: &client.Options{ExactlyOnce: client.ExactlyOnceOff}})
	node := startMember(t, pkg, dir, pkg, nil)
	node.await("joined")
	putBig(t, guest)
	scan := startHalf(t, guest)
	node.say("half big- big. 10")
	node.await("half")

	host.stop()
	once, often := pend(t, guest, 10), pend(t, repeating, 10)
	node.say("put node value")
	host.kill()
	node.await("host")
	node.await("put")
	// Node cannot tell whether a write was done that ours may have done.
	for _, err := range once() {
		if before == pkg {
			if err != nil {
				t.Errorf("a write that Node may have done: %v", err)
			}
		} else if !errors.Is(err, mld.ErrOutcomeUnknown) || !errors.Is(err, mld.ErrSessionLost) {
			t.Errorf("a write that was sent, to be done once: %v", err)
		}
	}
	for _, err := range often() {
		if err != nil {
			t.Errorf("a write that was sent, to be done at least once: %v", err)
		}
	}
	if e := awaitRole(t, guest, party.Guest); e.HostPID != node.cmd.Process.Pid {
		t.Errorf("the role is %+v; want process %d as the host", e, node.cmd.Process.Pid)
	}
	for i := range 10 {
		wantValue(t, guest, fmt.Sprintf("pending-%d", i), "value")
	}
	wantValue(t, guest, "node", "value")
	mustPut(t, guest, "after", "value")
	wantSaid(t, node, "get after", "got value")
	scan.rest(t)
	node.say("rest")
	if got := node.await("rest"); got[1] != strconv.Itoa(big) {
		t.Errorf("the scan of %s returned %s entries, %s of them different; want %d", pkg, got[0], got[1], big)
	}
}

// TestTwoPackages has a host of ours, with a guest of each package, die. Whichever
// of them is next does not serve the other, which goes on when a process of ours
// hosts again, or when it hosts itself.
func TestTwoPackages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	host := startHosting(t, ours, dir)
	a := startMember(t, levelParty, dir, levelParty, nil)
	b := startMember(t, raveLevel, dir, raveLevel, nil)
	for _, m := range []*member{a, b} {
		m.await("joined")
		wantSaid(t, m, "probe 1", "probed 1")
	}
	b.stop()
	host.kill()
	a.await("host")
	b.signal(syscall.SIGCONT)
	b.say("put b waits") // it has no host
	guest := joinParty(t, dir, party.Options{})
	if e := guest.Role(); e.Role != party.Guest || e.HostPID != a.cmd.Process.Pid {
		t.Errorf("the role is %+v", e)
	}
	wantSaid(t, a, "probe 2", "probed 2")
	if _, err := guest.Get(impatient(t), []byte("b")); !errors.Is(err, mld.ErrNotFound) {
		t.Errorf("a write of the package that has no host: %v", err)
	}
	a.kill()
	b.await("put")
	wantValue(t, guest, "b", "waits")
	wantSaid(t, b, "probe 3", "probed 3")
}
