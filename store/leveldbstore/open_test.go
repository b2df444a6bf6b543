package leveldbstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/comparer"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"github.com/multileveldown/mld"
)

// wantOpenError fails unless Open gives an error of a kind that names the
// directory and says all of the parts.
func wantOpenError(t *testing.T, dir string, o *Options, want error, parts ...string) {
	t.Helper()
	s, err := Open(dir, o)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("Open: %v; want %v", err, want)
	}
	for _, part := range append(parts, dir) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}

// made returns a directory with a store of one entry in a table and one in the
// journal.
func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := mustOpen(t, dir, nil)
	if err := s.Put(t.Context(), []byte("a"), []byte("1"), nil); err != nil {
		t.Fatal(err)
	}
	reopen(t, s, nil)
	return dir
}

func reopen(t *testing.T, s *Store, o *Options) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, s.dir, o)
	if err := s.Put(t.Context(), []byte("b"), []byte("2"), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLocked(t *testing.T) {
	dir := made(t)
	writer := mustOpen(t, dir, nil)
	wantOpenError(t, dir, nil, mld.ErrLocked)
	wantOpenError(t, dir, &Options{ReadOnly: true}, mld.ErrLocked)
	writer.Close()
	for range 2 {
		reader := mustOpen(t, dir, &Options{ReadOnly: true})
		if n := count(t, reader); n != 2 {
			t.Fatalf("a reader finds %d entries; want 2", n)
		}
	}
	wantOpenError(t, dir, nil, mld.ErrLocked)
	if _, err := os.Stat(filepath.Join(dir, "LOCK")); err != nil {
		t.Fatal(err)
	}
}

// holdWithGoleveldb opens a directory as programs do that know no fcntl lock.
func holdWithGoleveldb(dir string) error {
	db, err := leveldb.OpenFile(dir, nil)
	if err != nil {
		return err
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
	return db.Close()
}

func TestLockedByGoleveldb(t *testing.T) {
	dir := made(t)
	said, end := startChild(t, "goleveldb", dir)
	if said != "held" {
		t.Fatal(said)
	}
	wantOpenError(t, dir, nil, mld.ErrLocked)
	end()
	s := mustOpen(t, dir, nil)
	if said, _ := startChild(t, "goleveldb", dir); said == "held" {
		t.Fatal("goleveldb opened a directory that is open here")
	}
	s.Close()
}

func TestOpenMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	for _, o := range []*Options{{ErrorIfMissing: true}, {ReadOnly: true}} {
		wantOpenError(t, dir, o, fs.ErrNotExist)
		wantOpenError(t, dir, o, mld.ErrInvalidArgument)
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("Open with %+v made the directory", *o)
		}
	}
	wantOpenError(t, t.TempDir(), &Options{ErrorIfMissing: true}, fs.ErrNotExist)
}

// TestOpenForeign expects directories of something else to stay as they are.
func TestOpenForeign(t *testing.T) {
	for name, files := range map[string][]string{
		"other files": {"notes.txt"},
		"pebble":      {"marker.format-version.000001.013", "MANIFEST-000001"},
		"rocksdb":     {"IDENTITY", "CURRENT", "MANIFEST-000001"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range files {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			wantOpenError(t, dir, nil, mld.ErrInvalidArgument)
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(files) {
				t.Fatalf("the directory now has %v, %v", entries, err)
			}
		})
	}
}

type otherOrder struct{ comparer.Comparer }

func (otherOrder) Name() string { return "idb_cmp1" }

func TestOpenOtherOrder(t *testing.T) {
	dir := t.TempDir()
	db, err := leveldb.OpenFile(dir, &opt.Options{Comparer: otherOrder{comparer.DefaultComparer}})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	wantOpenError(t, dir, nil, mld.ErrUnsupported, "idb_cmp1")
}

func TestOpenUnfinished(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"LOCK", "LOG", "MANIFEST-000000", "CURRENT.0"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reopen(t, mustOpen(t, dir, nil), nil)
}

// alter changes the one file that matches a pattern.
func alter(t *testing.T, dir, pattern string, change func([]byte) []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) != 1 {
		t.Fatalf("%s matches %v, %v", pattern, names, err)
	}
	content, err := os.ReadFile(names[0])
	if err == nil {
		err = os.WriteFile(names[0], change(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamage(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			b[(len(b)+at)%len(b)] ^= 1
			return b
		}
	}
	chopped := func(b []byte) []byte { return b[:len(b)-1] }
	extended := func(by ...byte) func([]byte) []byte {
		return func(b []byte) []byte { return append(b, by...) }
	}
	for _, test := range []struct {
		name, pattern string
		change        func([]byte) []byte
		err           error
		entries       int
		warned        bool
	}{
		{"manifest begins with another bit", "MANIFEST-*", flip(8), mld.ErrCorruption, 0, false},
		{"manifest ends with another bit", "MANIFEST-*", flip(-1), mld.ErrCorruption, 0, false},
		{"manifest has part of another edit", "MANIFEST-*", extended(1, 2, 3, 4, 50, 0, 1, 9), nil, 2, true},
		{"manifest has part of another header", "MANIFEST-*", extended(1, 2), nil, 2, false},
		{"manifest ends in zeros", "MANIFEST-*", extended(make([]byte, 100)...), nil, 2, true},
		{"manifest has another edit in zeros", "MANIFEST-*", func(b []byte) []byte {
			return append(append(b, make([]byte, 32<<10-len(b))...), b...)
		}, mld.ErrCorruption, 0, false},
		{"journal lost its last byte", "*.log", chopped, nil, 1, true},
		{"journal has another bit", "*.log", flip(-1), nil, 1, true},
		{"CURRENT is empty", "CURRENT", func([]byte) []byte { return nil }, mld.ErrCorruption, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := made(t)
			alter(t, dir, test.pattern, test.change)
			if test.err != nil {
				wantOpenError(t, dir, nil, test.err)
				return
			}
			var log bytes.Buffer
			o := &Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}
			if n := count(t, mustOpen(t, dir, o)); n != test.entries {
				t.Errorf("%d entries; want %d", n, test.entries)
			}
			if warned := strings.Contains(log.String(), "@drop"); warned != test.warned {
				t.Errorf("warned: %t; want %t:\n%s", warned, test.warned, log.String())
			}
		})
	}
}

func TestDamagedTable(t *testing.T) {
	dir := made(t)
	alter(t, dir, "*.ldb", func(b []byte) []byte { b[0] ^= 1; return b })
	s := mustOpen(t, dir, nil)
	if _, err := s.Get(t.Context(), []byte("a")); !errors.Is(err, mld.ErrCorruption) {
		t.Fatalf("Get: %v; want ErrCorruption", err)
	}
	if _, err := mld.Collect(t.Context(), s, nil); !errors.Is(err, mld.ErrCorruption) {
		t.Fatalf("Collect: %v; want ErrCorruption", err)
	}
}

func TestInvalidOptions(t *testing.T) {
	for _, o := range []*Options{{Durability: 9}, {WriteBufferBytes: -1}, {WriteBufferBytes: 2 << 30}, {Compression: 9}} {
		if _, err := Open(t.TempDir(), o); !errors.Is(err, mld.ErrInvalidArgument) {
			t.Errorf("Open with %+v: %v; want ErrInvalidArgument", *o, err)
		}
	}
}

func TestStats(t *testing.T) {
	s := mustOpen(t, made(t), nil)
	it, err := s.NewIterator(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if !it.Next() {
		t.Fatal(it.Err())
	}
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.Engine != "leveldb" || stats.Path != s.dir || stats.DiskBytes == 0 || stats.MemoryBytes == 0 {
		t.Errorf("Stats = %+v", stats)
	}
	if m := stats.Metrics; m["open_iterators"] != 1 || m["level0_tables"] == 0 || m["level0_bytes"] == 0 {
		t.Errorf("metrics = %v", m)
	}
}
