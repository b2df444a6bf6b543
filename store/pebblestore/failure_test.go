package pebblestore_test

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/multileveldown/mld"
)

// TestLogFailure makes the log fail under several writers, and looks that the store
// says so from then on, instead of ending the process or waiting for ever, and that
// all that was acknowledged is there when it is opened again.
func TestLogFailure(t *testing.T) {
	for _, test := range []struct {
		name  string
		kinds []errorfs.OpKind
		cause error
	}{
		{"write", []errorfs.OpKind{errorfs.OpFileWrite}, syscall.EIO},
		{"disk full", []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFilePreallocate}, syscall.ENOSPC},
		{"sync", []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, syscall.EIO},
		{"next log", []errorfs.OpKind{errorfs.OpCreate, errorfs.OpReuseForWrite}, syscall.ENOSPC},
	} {
		t.Run(test.name, func(t *testing.T) {
			broken := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
				if path.Ext(op.Path) == ".log" && slices.Contains(test.kinds, op.Kind) {
					return test.cause
				}
				return nil
			})}
			fs := vfs.NewMem()
			s := open(t, "db", small(errorfs.Wrap(fs, broken)))
			put(t, s, "before", "1", nil)

			const writers = 4
			value := bytes.Repeat([]byte("v"), 100<<10) // so that logs are changed
			var acknowledged [writers]int
			var errs [writers]error
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := 0; errs[w] == nil && i < 256; i++ {
						if errs[w] = s.Put(t.Context(), []byte{byte(w), byte(i)}, value, nil); errs[w] == nil {
							acknowledged[w]++
						}
						if w == 0 && i == 1 {
							broken.On()
						}
					}
				})
			}
			wg.Wait()
			for _, err := range errs {
				if !errors.Is(err, mld.ErrIO) || !errors.Is(err, test.cause) || mld.OutcomeOf(err) != mld.Unknown {
					t.Fatalf("Put: %v, outcome %d; want ErrIO for %v, outcome unknown", err, mld.OutcomeOf(err), test.cause)
				}
			}
			broken.Off()
			if err := s.Put(t.Context(), []byte("after"), []byte("1"), nil); !errors.Is(err, mld.ErrIO) {
				t.Errorf("Put after the failure: %v; want ErrIO", err)
			}
			if _, err := s.Get(t.Context(), []byte("before")); !errors.Is(err, mld.ErrIO) {
				t.Errorf("Get after the failure: %v; want ErrIO", err)
			}
			closeStore(t, s)

			s = open(t, "db", small(fs))
			defer s.Close()
			if _, err := s.Get(t.Context(), []byte("before")); err != nil {
				t.Errorf("opened again: %v", err)
			}
			for w, n := range acknowledged {
				for i := range n {
					if _, err := s.Get(t.Context(), []byte{byte(w), byte(i)}); err != nil {
						t.Fatalf("opened again, an acknowledged write: %v", err)
					}
				}
			}
		})
	}
}

// TestManifestFailure makes what Pebble does in the background fail.
func TestManifestFailure(t *testing.T) {
	broken := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasPrefix(path.Base(op.Path), "MANIFEST") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.EIO
		}
		return nil
	})}
	fs := vfs.NewMem()
	s := open(t, "db", small(errorfs.Wrap(fs, broken)))
	broken.On()
	value := bytes.Repeat([]byte("v"), 100<<10)
	var err error
	for i := 0; err == nil && i < 1000; i++ { // until memtables are written out
		err = s.Put(t.Context(), []byte{byte(i)}, value, mld.NoSync)
	}
	if !errors.Is(err, mld.ErrIO) {
		t.Fatalf("Put: %v; want ErrIO", err)
	}
	closeStore(t, s)
}

// TestCorruption changes a byte of a table.
func TestCorruption(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "db", small(fs))
	put(t, s, "key", strings.Repeat("value", 100), nil)
	closeStore(t, s)
	closeStore(t, open(t, "db", small(fs))) // which writes the log to a table

	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, name := range names {
		if path.Ext(name) != ".sst" {
			continue
		}
		tables++
		f, err := fs.OpenReadWrite("db/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("XXXX"), 8); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if tables == 0 {
		t.Fatalf("no table in %q", names)
	}
	s = open(t, "db", small(fs))
	defer s.Close()
	_, err = s.Get(t.Context(), []byte("key"))
	if !errors.Is(err, mld.ErrCorruption) {
		t.Errorf("Get: %v; want ErrCorruption", err)
	}
	if _, err := mld.Collect(t.Context(), s, nil); !errors.Is(err, mld.ErrCorruption) {
		t.Errorf("Collect: %v; want ErrCorruption", err)
	}
	put(t, s, "other", "1", nil)
}
