package pebblestore_test

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/multileveldown/mld"
)

// TestLogFailure makes the log fail, and looks that the store says so from then
// on, instead of ending the process or waiting for ever.
func TestLogFailure(t *testing.T) {
	for name, cause := range map[string]error{"I/O error": syscall.EIO, "disk full": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			broken := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
				if path.Ext(op.Path) == ".log" && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					return cause
				}
				return nil
			})}
			fs := vfs.NewMem()
			s := open(t, "db", small(errorfs.Wrap(fs, broken)))
			put(t, s, "before", "1", nil)
			broken.On()
			err := s.Put(t.Context(), []byte("during"), []byte("1"), nil)
			if !errors.Is(err, mld.ErrIO) || !errors.Is(err, cause) || mld.OutcomeOf(err) != mld.Unknown {
				t.Fatalf("Put: %v, outcome %d; want ErrIO for %v, outcome unknown", err, mld.OutcomeOf(err), cause)
			}
			broken.Off()
			if err := s.Put(t.Context(), []byte("after"), []byte("1"), nil); !errors.Is(err, mld.ErrIO) {
				t.Errorf("Put after the failure: %v; want ErrIO", err)
			}
			if _, err := s.Get(t.Context(), []byte("before")); !errors.Is(err, mld.ErrIO) {
				t.Errorf("Get after the failure: %v; want ErrIO", err)
			}
			if err := s.Close(); err != nil {
				t.Logf("Close: %v", err)
			}
			s = open(t, "db", small(fs))
			defer s.Close()
			if _, err := s.Get(t.Context(), []byte("before")); err != nil {
				t.Errorf("opened again: %v", err)
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
	if err := s.Close(); err != nil {
		t.Logf("Close: %v", err)
	}
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
