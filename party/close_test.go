package party

import (
	"errors"
	"sync"
	"testing"

	"github.com/multileveldown/mld"
)

// TestClosed closes members of each role, several times at once: calls fail
// afterwards, and the lock of a host is free.
func TestClosed(t *testing.T) {
	dir := t.TempDir()
	host := join(t, dir, nil)
	mustPut(t, host, "key", "value")
	guest := join(t, dir, &Options{GuestOnly: true})
	seeking := join(t, dir, &Options{GuestOnly: true})
	closeTwice := func(role Role, p *Party) {
		t.Helper()
		if got := p.Role().Role; got != role {
			t.Errorf("the member is %v; want %v", got, role)
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := p.Close(); err != nil {
					t.Errorf("Close of the %v: %v", role, err)
				}
			})
		}
		wg.Wait()
		if got := p.Role().Role; got != Closed {
			t.Errorf("the %v is %v after Close", role, got)
		}
		wantClosed(t, p)
	}
	closeTwice(Guest, guest)
	closeTwice(Host, host)
	wantUnlocked(t, dir)
	awaitRole(t, seeking, Seeking)
	closeTwice(Seeking, seeking)
}

// wantClosed expects ErrClosed of every call.
func wantClosed(t *testing.T, p *Party) {
	t.Helper()
	ctx, key := testContext(t), []byte("key")
	var b mld.Batch
	b.Put(key, key)
	for name, call := range map[string]func() error{
		"Get":         func() error { _, err := p.Get(ctx, key); return err },
		"GetPinned":   func() error { _, _, err := p.GetPinned(ctx, key); return err },
		"GetMany":     func() error { _, err := p.GetMany(ctx, [][]byte{key}); return err },
		"GetEach":     func() error { return p.GetEach(ctx, [][]byte{key}, func(int, []byte) error { return nil }) },
		"NewIterator": func() error { _, err := p.NewIterator(ctx, nil); return err },
		"NewSnapshot": func() error { _, err := p.NewSnapshot(ctx); return err },
		"Put":         func() error { return p.Put(ctx, key, key, nil) },
		"Delete":      func() error { return p.Delete(ctx, key, nil) },
		"Apply":       func() error { return p.Apply(ctx, &b, nil) },
		"Clear":       func() error { return p.Clear(ctx, mld.Range{}, nil) },
		"Stats":       func() error { _, err := p.Stats(ctx); return err },
	} {
		if err := call(); !errors.Is(err, mld.ErrClosed) {
			t.Errorf("%s after Close: %v; want closed", name, err)
		}
	}
}

// TestCloseWhileTakingOver closes a guest that has the lock of its host that died, and
// is opening the store: its pending call fails, and the lock is free.
func TestCloseWhileTakingOver(t *testing.T) {
	dir, d := t.TempDir(), newDisk(t)
	host := join(t, dir, d.options())
	guest := join(t, dir, d.options())
	release := d.stick()
	defer release()
	pending := make(chan error, 1)
	go func() { pending <- guest.Put(testContext(t), []byte("key"), []byte("value"), nil) }()
	d.awaitStuck()
	opening := make(chan struct{})
	d.mu.Lock()
	d.opening = opening
	d.mu.Unlock()
	die(t, host)
	for opens := 0; opens < 2; yield() {
		d.mu.Lock()
		opens = d.opens
		d.mu.Unlock()
	}
	closed := make(chan error, 1)
	go func() { closed <- guest.Close() }()
	if err := <-pending; !errors.Is(err, mld.ErrClosed) && !errors.Is(err, mld.ErrOutcomeUnknown) {
		t.Errorf("the call that was pending: %v", err)
	}
	close(opening)
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	wantUnlocked(t, dir)
	wantClosed(t, guest)
}
