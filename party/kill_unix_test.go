//go:build unix

package party

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/multileveldown/mld"
)

var engines = []Engine{Pebble, LevelDB}

// TestKill kills the host, again and again, and measures how long it takes until a
// write is acknowledged.
func TestKill(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			dir := t.TempDir()
			rounds := 5
			if *long {
				rounds = 20
			}
			var took []time.Duration
			for i := range rounds {
				host := startMember(t, dir, engine)
				host.await("joined host")
				guest := join(t, dir, &Options{Engine: engine})
				before := awaitRole(t, guest, Guest)
				if before.HostPID != host.cmd.Process.Pid {
					t.Fatalf("the host is process %d; want %d", before.HostPID, host.cmd.Process.Pid)
				}
				for j := range 100 {
					mustPut(t, guest, number(j), number(i))
				}
				start := time.Now()
				host.signal(syscall.SIGKILL)
				mustPut(t, guest, "after", number(i))
				took = append(took, time.Since(start))
				after := awaitRole(t, guest, Host)
				if after.Epoch <= before.Epoch {
					t.Fatalf("the epoch went from %d to %d", before.Epoch, after.Epoch)
				}
				for j := range 100 {
					wantValue(t, guest, number(j), number(i))
				}
				wantValue(t, guest, "after", number(i))
				if err := guest.Close(); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(took)
			t.Logf("from the kill to the next acknowledged write: median %v, worst %v of %d", took[len(took)/2], took[len(took)-1], len(took))
		})
	}
}

// TestStop stops the host and lets it go on: it is not replaced meanwhile, and the
// calls of its guests wait.
func TestStop(t *testing.T) {
	dir := t.TempDir()
	host := startMember(t, dir, "")
	host.await("joined host")
	guest := join(t, dir, nil)
	before := awaitRole(t, guest, Guest)
	mustPut(t, guest, "a", "1")

	host.stop()
	ctx, cancel := contextWithin(t, 300*time.Millisecond)
	defer cancel()
	err := guest.Put(ctx, []byte("a"), []byte("2"), nil)
	if mld.OutcomeOf(err) != mld.Unknown {
		t.Fatalf("a write to a host that is stopped: %v; want an unknown outcome", err)
	}
	if _, err := Join(dir, &Options{JoinTimeout: 100 * time.Millisecond}); mld.CodeOf(err) != mld.CodeConnectionLost && mld.CodeOf(err) != mld.CodeLocked {
		t.Fatalf("joining a host that is stopped: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- guest.Put(testContext(t), []byte("b"), []byte("3"), nil) }()

	host.signal(syscall.SIGCONT)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantValue(t, guest, "b", "3")
	wantValue(t, guest, "a", "2")
	if after := guest.Role(); after.Epoch != before.Epoch || after.HostPID != before.HostPID {
		t.Fatalf("the host was replaced while it was stopped: %+v, then %+v", before, after)
	}
	host.say("role")
	host.await("role host")
}
