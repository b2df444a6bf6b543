package probe_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/comparer"
	"github.com/syndtr/goleveldb/leveldb/journal"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/probe"
)

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(s string, a ...any) { panic(fmt.Sprintf(s, a...)) }

func makePebble(o pebble.Options) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		o := o
		o.Logger = quiet{}
		db, err := pebble.Open(dir, &o)
		check(t, err)
		check(t, db.Set([]byte("a"), []byte("1"), pebble.Sync))
		check(t, db.Flush())
		check(t, db.Close())
	}
}

func makeLevelDB(o *opt.Options) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		db, err := leveldb.OpenFile(dir, o)
		check(t, err)
		check(t, db.Put([]byte("a"), []byte("1"), nil))
		check(t, db.CompactRange(util.Range{}))
		check(t, db.Close())
	}
}

// reversed is an order of keys that is not LevelDB's own.
type reversed struct{ comparer.Comparer }

func (reversed) Name() string            { return "test.Reversed" }
func (reversed) Compare(a, b []byte) int { return bytes.Compare(b, a) }

// files makes a directory of names and contents.
func files(contents map[string]string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		check(t, os.Mkdir(dir, 0o755))
		for name, content := range contents {
			check(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
		}
	}
}

func file(content string) func(*testing.T, string) {
	return func(t *testing.T, name string) { check(t, os.WriteFile(name, []byte(content), 0o644)) }
}

// then makes a directory and alters it.
func then(build func(*testing.T, string), alter func(dir string) error) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		build(t, dir)
		check(t, alter(dir))
	}
}

func remove(pattern string) func(string) error {
	return func(dir string) error {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if len(names) == 0 || err != nil {
			return fmt.Errorf("nothing matches %s: %v", pattern, err)
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
		return nil
	}
}

func overwrite(pattern string, change func([]byte) []byte) func(string) error {
	return func(dir string) error {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if len(names) != 1 || err != nil {
			return fmt.Errorf("%d files match %s: %v", len(names), pattern, err)
		}
		content, err := os.ReadFile(names[0])
		if err != nil {
			return err
		}
		return os.WriteFile(names[0], change(content), 0o644)
	}
}

func page(magic uint32, order binary.AppendByteOrder) string {
	return string(order.AppendUint32(make([]byte, 16), magic)) + strings.Repeat("\x00", 4000)
}

// bigManifest begins with an edit that is cut over several chunks.
func bigManifest(dir string) error {
	return overwrite("MANIFEST-*", func([]byte) []byte {
		var b bytes.Buffer
		w := journal.NewWriter(&b)
		edit, err := w.Next()
		if err == nil {
			name := probe.BytewiseComparator
			_, err = edit.Write(append(append([]byte{1, byte(len(name))}, name...), make([]byte, 100<<10)...))
		}
		if err != nil || w.Close() != nil {
			panic(err)
		}
		return b.Bytes()
	})(dir)
}

func TestDirectory(t *testing.T) {
	levelDB := makeLevelDB(nil)
	for _, test := range []struct {
		name  string
		build func(t *testing.T, dir string)
		kind  probe.Kind
		err   error    // nil where a store can be opened or made
		says  []string // what the error's text must have besides the directory
	}{
		{"nothing", func(*testing.T, string) {}, probe.Missing, nil, nil},
		{"empty", files(nil), probe.Empty, nil, nil},
		{"only a lock", files(map[string]string{"LOCK": ""}), probe.Empty, nil, nil},
		{"unfinished", files(map[string]string{"LOCK": "", "LOG": "x", "MANIFEST-000001": "", "000001.dbtmp": ""}), probe.Empty, nil, nil},
		{"destroyed", files(map[string]string{"LOG": "x", "CURRENT.bak": "MANIFEST-000000\n"}), probe.Empty, nil, nil},

		{"leveldb", levelDB, probe.LevelDB, nil, nil},
		{"leveldb with a file beside", then(levelDB, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "README.md"), nil, 0o644)
		}), probe.LevelDB, nil, nil},
		{"leveldb with a long manifest", then(levelDB, bigManifest), probe.LevelDB, nil, nil},
		{
			"leveldb of another order", makeLevelDB(&opt.Options{Comparer: reversed{comparer.DefaultComparer}}),
			probe.LevelDB, mld.ErrUnsupported,
			[]string{"test.Reversed"},
		},
		{"leveldb without CURRENT", then(levelDB, remove("CURRENT")), probe.LevelDB, mld.ErrCorruption, []string{"CURRENT"}},
		{"leveldb without manifest", then(levelDB, remove("MANIFEST-*")), probe.LevelDB, mld.ErrCorruption, []string{"MANIFEST-0000", "not there"}},
		{
			"leveldb with a bad CURRENT", then(levelDB, overwrite("CURRENT", func([]byte) []byte { return []byte("MANIFEST-") })),
			probe.LevelDB, mld.ErrCorruption,
			[]string{"CURRENT"},
		},
		{
			"leveldb with a short manifest", then(levelDB, overwrite("MANIFEST-*", func(b []byte) []byte { return b[:20] })),
			probe.LevelDB, mld.ErrCorruption,
			[]string{"cut short"},
		},
		{
			"leveldb with an empty manifest", then(levelDB, overwrite("MANIFEST-*", func(b []byte) []byte { return nil })),
			probe.LevelDB, mld.ErrCorruption,
			[]string{"cut short"},
		},
		{
			"leveldb with a flipped bit", then(levelDB, overwrite("MANIFEST-*", func(b []byte) []byte { b[12] ^= 1; return b })),
			probe.LevelDB, mld.ErrCorruption,
			[]string{"checksum"},
		},

		{"pebble", makePebble(pebble.Options{}), probe.Pebble, nil, nil},
		{"oldest pebble", makePebble(pebble.Options{FormatMajorVersion: pebble.FormatMinSupported}), probe.Pebble, nil, nil},
		{"pebble without options", then(makePebble(pebble.Options{}), remove("OPTIONS-*")), probe.Pebble, nil, nil},
		{"pebble without markers", then(makePebble(pebble.Options{}), remove("marker.*")), probe.Pebble, nil, nil},

		{"rocksdb", files(map[string]string{
			"CURRENT": "MANIFEST-000004\n", "MANIFEST-000004": "", "LOCK": "", "LOG": "", "000005.log": "",
			"OPTIONS-000007": "# This is a RocksDB option file.\n#\n\n[Version]\n  rocksdb_version=8.1.1\n  options_file_version=1.1\n",
		}), probe.RocksDB, mld.ErrInvalidArgument, []string{"RocksDB", "OPTIONS-000007"}},
		{"rocksdb without options", files(map[string]string{
			"CURRENT": "MANIFEST-000004\n", "MANIFEST-000004": "", "IDENTITY": "9c0a", "000005.sst": "",
		}), probe.RocksDB, mld.ErrInvalidArgument, []string{"RocksDB", "IDENTITY"}},
		{
			"badger", files(map[string]string{"MANIFEST": "Bdgr\x00\x00\x00\x08", "KEYREGISTRY": "", "000001.vlog": "", "00001.mem": "", "DISCARD": ""}),
			probe.Badger, mld.ErrInvalidArgument,
			[]string{"BadgerDB"},
		},
		{
			"old badger", files(map[string]string{"MANIFEST": "Bdgr\x00\x00\x00\x04", "000001.vlog": ""}),
			probe.Badger, mld.ErrInvalidArgument,
			[]string{"BadgerDB"},
		},
		{
			"lmdb", files(map[string]string{"data.mdb": page(0xbeefc0de, binary.LittleEndian), "lock.mdb": ""}),
			probe.LMDB, mld.ErrInvalidArgument,
			[]string{"LMDB"},
		},
		{"lmdb file", file(page(0xbeefc0de, binary.LittleEndian)), probe.LMDB, mld.ErrInvalidArgument, []string{"LMDB"}},
		{"bolt", file(page(0xed0cdaed, binary.LittleEndian)), probe.Bolt, mld.ErrInvalidArgument, []string{"bbolt"}},
		{"big-endian bolt", file(page(0xed0cdaed, binary.BigEndian)), probe.Bolt, mld.ErrInvalidArgument, []string{"bbolt"}},
		{"sqlite", file("SQLite format 3\x00\x10\x00"), probe.SQLite, mld.ErrInvalidArgument, []string{"SQLite"}},

		{"file", file("hello"), probe.Foreign, mld.ErrInvalidArgument, []string{"a file"}},
		{"empty file", file(""), probe.Foreign, mld.ErrInvalidArgument, []string{"a file"}},
		{
			"home directory", files(map[string]string{"a.txt": "", "b.txt": "", "c": "", "d": "", "e": ""}),
			probe.Foreign, mld.ErrInvalidArgument,
			[]string{"a.txt, b.txt, c and 2 more"},
		},
		{
			"lookalikes", files(map[string]string{"2024.log": "", "app.log": "", "LOCK": ""}),
			probe.Foreign, mld.ErrInvalidArgument,
			[]string{"app.log"},
		},
		{"a file named CURRENT", files(map[string]string{"CURRENT": "x"}), probe.Foreign, mld.ErrInvalidArgument, []string{"CURRENT"}},
		{"a file named MANIFEST", files(map[string]string{"MANIFEST": "x"}), probe.Foreign, mld.ErrInvalidArgument, []string{"MANIFEST"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "store")
			test.build(t, dir)
			before := picture(t, parent)
			kind, err := probe.Directory(dir)
			if kind != test.kind || (test.err == nil) != (err == nil) || test.err != nil && !errors.Is(err, test.err) {
				t.Fatalf("Directory = %v, %v; want %v, %v", kind, err, test.kind, test.err)
			}
			if err != nil {
				t.Log(err)
				for _, part := range append(test.says, dir) {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the error does not say %q", part)
					}
				}
			}
			if after := picture(t, parent); after != before {
				t.Errorf("the directory changed from\n%sto\n%s", before, after)
			}
		})
	}
}

// TestDirectoryInUse looks at stores while their owners have them open.
func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	ldb, err := leveldb.OpenFile(filepath.Join(dir, "l"), nil)
	check(t, err)
	defer ldb.Close()
	pdb, err := pebble.Open(filepath.Join(dir, "p"), &pebble.Options{Logger: quiet{}})
	check(t, err)
	defer pdb.Close()
	for name, want := range map[string]probe.Kind{"l": probe.LevelDB, "p": probe.Pebble} {
		if kind, err := probe.Directory(filepath.Join(dir, name)); kind != want || err != nil {
			t.Errorf("Directory = %v, %v; want %v", kind, err, want)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// picture returns all that can be seen of a directory, but not when it was read.
func picture(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			if content, err = os.ReadFile(name); err != nil {
				return err
			}
		}
		fmt.Fprintf(&b, "%s %v %v %x\n", name, info.Mode(), info.ModTime(), content)
		return nil
	}))
	return b.String()
}
