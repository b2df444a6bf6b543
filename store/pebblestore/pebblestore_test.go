package pebblestore_test

import (
	"bytes"
	"errors"
	"flag"
	iofs "io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string, o *pebblestore.Options) *pebblestore.Store {
	t.Helper()
	s, err := pebblestore.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// small is for stores of which there are many.
func small(fs vfs.FS) *pebblestore.Options {
	return &pebblestore.Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20}
}

// TestConformance runs the suite over a file system in memory.
func TestConformance(t *testing.T) {
	files := map[mld.Store]vfs.FS{}
	openOver := func(t *testing.T, fs vfs.FS) mld.Store {
		s := open(t, "db", small(fs))
		files[s] = fs
		return s
	}
	storetest.Run(t, func(t *testing.T) mld.Store {
		return openOver(t, vfs.NewMem())
	}, &storetest.Options{
		Reopen: func(t *testing.T, s mld.Store) mld.Store {
			closeStore(t, s)
			return openOver(t, files[s])
		},
		ReadOnly: func(t *testing.T, entries []mld.Entry) mld.Store {
			o := small(vfs.NewMem())
			s := open(t, "db", o)
			for _, e := range entries {
				if err := s.Put(t.Context(), e.Key, e.Value, nil); err != nil {
					t.Fatal(err)
				}
			}
			closeStore(t, s)
			o.ReadOnly = true
			return open(t, "db", o)
		},
	})
}

// TestConformanceOnDisk runs the suite over tables: all that is written leaves the
// memtable at once, and the cache holds next to nothing.
func TestConformanceOnDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T) mld.Store {
		return open(t, t.TempDir(), &pebblestore.Options{
			CacheBytes:    1,
			MemTableBytes: 16 << 10,
			Durability:    mld.DurabilityNoSync,
		})
	}, nil)
}

func closeStore(t testing.TB, s mld.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s mld.Store, key, value string, o *mld.WriteOptions) {
	t.Helper()
	if err := s.Put(t.Context(), []byte(key), []byte(value), o); err != nil {
		t.Fatal(err)
	}
}

// TestDurability cuts the power, and looks what is left of writes with each
// durability, under each default.
func TestDurability(t *testing.T) {
	for _, test := range []struct {
		def  mld.Durability
		o    *mld.WriteOptions
		left bool
	}{
		{mld.DurabilityDefault, nil, true},
		{mld.DurabilityDefault, mld.NoSync, false},
		{mld.DurabilityNoSync, nil, false},
		{mld.DurabilityNoSync, mld.Sync, true},
	} {
		for name, write := range map[string]func(s mld.Store, key []byte) error{
			"Put": func(s mld.Store, key []byte) error { return s.Put(t.Context(), key, []byte("1"), test.o) },
			"Apply": func(s mld.Store, key []byte) error {
				var b mld.Batch
				b.Put(key, []byte("1"))
				return s.Apply(t.Context(), &b, test.o)
			},
			"Harden": func(s mld.Store, key []byte) error {
				var b mld.Batch
				b.Put(key, []byte("1"))
				return errors.Join(mld.ApplyDeferred(t.Context(), s, &b, test.o), mld.Harden(t.Context(), s, test.o))
			},
			"Delete after a batch that was deferred": func(s mld.Store, key []byte) error {
				var b mld.Batch
				b.Put(key, []byte("1"))
				return errors.Join(mld.ApplyDeferred(t.Context(), s, &b, test.o), s.Delete(t.Context(), []byte("x"), test.o))
			},
			"A removal of nothing after a batch that was deferred": func(s mld.Store, key []byte) error {
				var b, nothing mld.Batch
				b.Put(key, []byte("1"))
				nothing.DeleteRange([]byte("b"), []byte("a"))
				return errors.Join(mld.ApplyDeferred(t.Context(), s, &b, test.o), s.Apply(t.Context(), &nothing, test.o))
			},
			"Delete": func(s mld.Store, key []byte) error {
				return errors.Join(s.Put(t.Context(), key, []byte("1"), mld.NoSync), s.Delete(t.Context(), []byte("x"), test.o))
			},
			"Clear": func(s mld.Store, key []byte) error {
				return errors.Join(s.Put(t.Context(), key, []byte("1"), mld.NoSync), s.Clear(t.Context(), mld.Range{LT: key}, test.o))
			},
		} {
			fs := vfs.NewCrashableMem()
			o := small(fs)
			o.Durability = test.def
			s := open(t, "db", o)
			if err := write(s, []byte("key")); err != nil {
				t.Fatal(err)
			}
			o.FS = fs.CrashClone(vfs.CrashCloneCfg{})
			closeStore(t, s)
			s = open(t, "db", o)
			_, err := s.Get(t.Context(), []byte("key"))
			if test.left && err != nil || !test.left && !errors.Is(err, mld.ErrNotFound) {
				t.Errorf("%s with %+v, default %v, then a crash: %v; want it to be left: %t", name, test.o, test.def, err, test.left)
			}
			closeStore(t, s)
		}
	}
}

var openFlag = flag.String("open", "", "the directory that TestOpenElsewhere opens")

// TestOpenElsewhere is what TestLocked runs in another process.
func TestOpenElsewhere(t *testing.T) {
	dir := *openFlag
	if dir == "" {
		dir = t.TempDir()
	}
	closeStore(t, open(t, dir, nil))
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	elsewhere := func() ([]byte, error) {
		return exec.Command(os.Args[0], "-test.run=^TestOpenElsewhere$", "-open="+dir).CombinedOutput()
	}
	s := open(t, dir, nil)
	_, err := pebblestore.Open(dir, nil)
	if !errors.Is(err, mld.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open of an open directory: %v; want ErrLocked with its name", err)
	}
	if out, err := elsewhere(); err == nil || !bytes.Contains(out, []byte("locked by another process")) {
		t.Errorf("another process, while the directory is open: %v\n%s", err, out)
	}
	put(t, s, "a", "1", nil)
	closeStore(t, s)
	if out, err := elsewhere(); err != nil {
		t.Errorf("another process, after the directory was closed: %v\n%s", err, out)
	}
}

// TestCloseKeepsWhatIsLent holds an iterator on an entry and a pinned value over
// Close.
func TestCloseKeepsWhatIsLent(t *testing.T) {
	o := small(vfs.NewMem())
	s := open(t, "db", o)
	put(t, s, "a", "1", nil)
	put(t, s, "b", "2", nil)
	closeStore(t, s)
	s = open(t, "db", o) // so that the values are in a table

	it, err := s.NewIterator(t.Context(), nil)
	if err != nil || !it.Next() {
		t.Fatal(err)
	}
	pinned, closer, err := s.GetPinned(t.Context(), []byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	unused, err := s.NewIterator(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewSnapshot(t.Context()); err != nil { // never closed
		t.Fatal(err)
	}

	closeStore(t, s)
	if string(it.Key()) != "a" || string(it.Value()) != "1" || string(pinned) != "2" {
		t.Fatalf("after Close: %q, %q, %q", it.Key(), it.Value(), pinned)
	}
	if _, err := pebblestore.Open("db", o); !errors.Is(err, mld.ErrLocked) {
		t.Fatalf("Open while an entry is lent: %v; want ErrLocked", err)
	}
	if it.Next() || !errors.Is(it.Err(), mld.ErrClosed) {
		t.Fatalf("Next after Close: %q, %v", it.Key(), it.Err())
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, open(t, "db", o)) // now it is let go of
	for _, it := range []mld.Iterator{it, unused} {
		if err := it.Close(); !errors.Is(err, mld.ErrClosed) {
			t.Errorf("closing an iterator after the store: %v", err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	fs := vfs.NewMem()
	closeStore(t, open(t, "pebble", small(fs)))
	if err := fs.MkdirAll("leveldb", 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("leveldb/CURRENT", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, test := range []struct {
		dir  string
		o    pebblestore.Options
		want error
	}{
		{"missing", pebblestore.Options{ErrorIfMissing: true}, iofs.ErrNotExist},
		{"missing", pebblestore.Options{ReadOnly: true}, iofs.ErrNotExist},
		{"pebble", pebblestore.Options{ErrorIfExists: true}, iofs.ErrExist},
		{"leveldb", pebblestore.Options{}, mld.ErrInvalidArgument},
		{"new", pebblestore.Options{CacheBytes: -1}, mld.ErrInvalidArgument},
		{"new", pebblestore.Options{MemTableBytes: -1}, mld.ErrInvalidArgument},
		{"new", pebblestore.Options{MemTableBytes: 4 << 30}, mld.ErrInvalidArgument},
		{"new", pebblestore.Options{Durability: 9}, mld.ErrInvalidArgument},
		{"new", pebblestore.Options{ReadOnly: true, ErrorIfExists: true}, mld.ErrInvalidArgument},
		{"new", pebblestore.Options{ErrorIfMissing: true, ErrorIfExists: true}, mld.ErrInvalidArgument},
	} {
		o := test.o
		o.FS = fs
		s, err := pebblestore.Open(test.dir, &o)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, test.want) || !errors.Is(err, mld.ErrInvalidArgument) || !strings.Contains(err.Error(), test.dir) {
			t.Errorf("Open(%q, %+v): %v; want %v", test.dir, test.o, err, test.want)
		}
	}
	names, err := fs.List("")
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"leveldb", "pebble"}) {
		t.Errorf("Open wrote where it refused to: %q, %v", names, err)
	}
	if names, err := fs.List("leveldb"); err != nil || !slices.Equal(names, []string{"CURRENT"}) {
		t.Errorf("Open wrote to a LevelDB: %q, %v", names, err)
	}
	for dir, want := range map[string]bool{"pebble": true, "leveldb": false, "missing": false} {
		if got, err := pebblestore.Exists(dir, fs); got != want || err != nil {
			t.Errorf("Exists(%q) = %t, %v; want %t", dir, got, err, want)
		}
	}
}

func TestBatchTooLarge(t *testing.T) {
	s := open(t, "db", small(vfs.NewMem()))
	defer s.Close()
	var b mld.Batch
	value := make([]byte, 1<<20)
	for range 2049 {
		b.Append(mld.Op{Kind: mld.OpPut, Key: []byte("a"), Value: value})
	}
	if err := s.Apply(t.Context(), &b, nil); !errors.Is(err, mld.ErrLimitExceeded) {
		t.Errorf("Apply of 2 GiB and more: %v", err)
	}
}

func TestStats(t *testing.T) {
	s := open(t, "db", small(vfs.NewMem()))
	defer s.Close()
	put(t, s, "a", "1", nil)
	stats, err := s.Stats(t.Context())
	if err != nil || stats.Engine != "pebble" || stats.Path != "db" || stats.DiskBytes == 0 || stats.MemoryBytes == 0 {
		t.Errorf("Stats = %+v, %v", stats, err)
	}
}

func TestConfigure(t *testing.T) {
	o := small(vfs.NewMem())
	cache := pebble.NewCache(4 << 20)
	defer cache.Unref()
	o.Configure = func(p *pebble.Options) { p.Cache = cache }
	s := open(t, "db", o)
	put(t, s, "a", "1", nil)
	closeStore(t, s)
	s = open(t, "db", o)
	defer s.Close()
	if _, err := s.Get(t.Context(), []byte("a")); err != nil {
		t.Fatal(err)
	}
	if cache.Size() == 0 {
		t.Error("the cache that was configured is not used")
	}
}
