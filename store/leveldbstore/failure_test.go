package leveldbstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/multileveldown/mld"
)

// bigClear is more keys than Clear collects in memory.
const bigClear = maxClearBatch/1000 + 1100

func bigKey(n int) []byte { return fmt.Appendf(bytes.Repeat([]byte("k"), 1000), "%08d", n) }

func putBigKeys(ctx context.Context, s *Store) error {
	var b mld.Batch
	for n := range bigClear {
		b.Put(bigKey(n), nil)
	}
	return s.Apply(ctx, &b, mld.NoSync)
}

func count(t *testing.T, r mld.Reader) int {
	t.Helper()
	n := 0
	for _, err := range mld.All(t.Context(), r, nil) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestBigClear clears more than is collected in memory.
func TestBigClear(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		r    mld.Range
		left int
	}{
		"all":   {mld.Range{}, 0},
		"most":  {mld.Range{Limit: bigClear - 10, Reverse: true}, 10},
		"range": {mld.Range{GTE: bigKey(5)}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir, nil)
			if err := putBigKeys(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			snap, err := s.NewSnapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Clear(t.Context(), test.r, nil); err != nil {
				t.Fatal(err)
			}
			if n := count(t, s); n != test.left {
				t.Errorf("%d keys are left; want %d", n, test.left)
			}
			if n := count(t, snap); n != bigClear {
				t.Errorf("a snapshot from before has %d keys; want %d", n, bigClear)
			}
			if err := s.Put(t.Context(), []byte("z"), nil, nil); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(snap.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
			if n := count(t, mustOpen(t, dir, nil)); n != test.left+1 {
				t.Errorf("%d keys are left after reopening; want %d", n, test.left+1)
			}
		})
	}
}

// TestBigRange removes more than is collected in memory, as a part of a batch.
func TestBigRange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, nil)
	if err := putBigKeys(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var b mld.Batch
	b.Put(bigKey(7), []byte("removed"))
	b.Put(bigKey(1), []byte("kept"))
	b.DeleteRange(bigKey(5), nil)
	b.Put(bigKey(9), []byte("put again"))
	b.Delete(bigKey(0))
	if err := s.Apply(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n := count(t, s); n != 5 {
			t.Errorf("%d keys are left; want 5", n)
		}
		for i, want := range map[int]string{1: "kept", 9: "put again"} {
			if got, err := s.Get(t.Context(), bigKey(i)); err != nil || string(got) != want {
				t.Errorf("key %d has %q, %v; want %q", i, got, err, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, dir, nil)
	}
}

// TestCancelledClear ends a big Clear by its context once it has begun to write.
func TestCancelledClear(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir(), nil)
	if err := putBigKeys(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	// Asked once before it begins, then once in 1024 keys.
	ctx := &countdown{Context: t.Context(), left: 1 + (bigClear-1)/1024}
	if err := s.Clear(ctx, mld.Range{}, nil); err != context.Canceled {
		t.Fatalf("Clear: %v; want context.Canceled", err)
	}
	if n := count(t, s); n != bigClear {
		t.Fatalf("%d keys are left; want all %d", n, bigClear)
	}
	if err := s.Clear(t.Context(), mld.Range{}, nil); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s); n != 0 {
		t.Fatalf("%d keys are left; want none", n)
	}
}

// countdown is a context that ends after it was asked a number of times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left == 0 {
		return context.Canceled
	}
	c.left--
	return nil
}

// faulty is a storage that fails to sync manifests once it is told to.
type faulty struct {
	storage.Storage
	failing *atomic.Bool
}

func (f faulty) Create(fd storage.FileDesc) (storage.Writer, error) {
	w, err := f.Storage.Create(fd)
	if err != nil || fd.Type != storage.TypeManifest {
		return w, err
	}
	return faultyWriter{w, f.failing}, nil
}

type faultyWriter struct {
	storage.Writer
	failing *atomic.Bool
}

func (w faultyWriter) Sync() error {
	if w.failing.Load() {
		return syscall.ENOSPC
	}
	return w.Writer.Sync()
}

// failedCommit has the commit of a big Clear fail, and then uses the store as
// anybody would.
func failedCommit(dir string) error {
	ctx := context.Background()
	s, err := Open(dir, nil)
	if err != nil {
		return err
	}
	if err := putBigKeys(ctx, s); err != nil {
		return err
	}
	if err := s.db.Close(); err != nil {
		return err
	}
	var failing atomic.Bool
	if s.db, err = leveldb.Open(faulty{s.files, &failing}, s.o.engine()); err != nil {
		return err
	}
	failing.Store(true)
	for _, step := range []struct {
		what string
		do   func() error
		want error
	}{
		{"Clear", func() error { return s.Clear(ctx, mld.Range{}, nil) }, mld.ErrIO},
		{"Put", func() error { return s.Put(ctx, []byte("a"), nil, nil) }, mld.ErrIO},
		{"Clear again", func() error { return s.Clear(ctx, mld.Range{}, nil) }, mld.ErrIO},
		{"Get", func() error { _, err := s.Get(ctx, bigKey(1)); return err }, nil},
		{"Close", s.Close, mld.ErrIO},
		{"Put after Close", func() error { return s.Put(ctx, []byte("a"), nil, nil) }, mld.ErrClosed},
		{"Open", func() error { _, err := Open(dir, nil); return err }, mld.ErrLocked},
	} {
		if err := step.do(); !errors.Is(err, step.want) {
			return fmt.Errorf("%s: %v; want %v", step.what, err, step.want)
		}
	}
	fmt.Println("done")
	return nil
}

// TestFailedCommit is about a failure after which goleveldb alone would hang, or
// delete what it might still need. It takes the seconds that goleveldb tries
// again for.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	said, end := startChild(t, "failed commit", dir)
	if said != "done" {
		t.Fatal(said)
	}
	end()
	if n := count(t, mustOpen(t, dir, nil)); n != 0 && n != bigClear {
		t.Fatalf("%d of %d keys are left: the Clear was done in part", n, bigClear)
	}
}

// killed writes without syncing, and dies.
func killed(dir string) error {
	s, err := Open(dir, &Options{Durability: mld.DurabilityNoSync})
	if err != nil {
		return err
	}
	for n := range 1000 {
		if err := s.Put(context.Background(), fmt.Appendf(nil, "%d", n), nil, nil); err != nil {
			return err
		}
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Kill()
}

// TestKilled expects the writes of a process that was killed, and its lock not.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	if said, _ := startChild(t, "killed", dir); said != "" {
		t.Fatal(said)
	}
	if n := count(t, mustOpen(t, dir, nil)); n != 1000 {
		t.Fatalf("%d of 1000 writes survived the process", n)
	}
}
