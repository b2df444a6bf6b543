package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// tree returns what is below dir: names, sizes, times and contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		if d.Name() != "LOCK" { // which whoever only looks locks, too
			text += info.ModTime().String()
		}
		if !d.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += string(b)
		}
		files[path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// same fails the test if the files below a directory have changed.
func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for path := range maps.Keys(after) {
		if before[path] != after[path] {
			t.Errorf("%s was created or changed", path)
		}
	}
	for path := range maps.Keys(before) {
		if _, ok := after[path]; !ok {
			t.Errorf("%s was removed", path)
		}
	}
}

func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	write := func(name, text string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, dir := range map[string]string{
		"files":   write("letter.txt", "Dear Sir"),
		"rocksdb": write("OPTIONS-000005", "[Version]\n  rocksdb_version=8.1.1\n"),
		"a file":  filepath.Join(write("db.sqlite", "SQLite format 3\x00"), "db.sqlite"),
	} {
		t.Run(name, func(t *testing.T) {
			before := tree(t, dir)
			for _, args := range [][]string{
				{"serve", dir, "--listen", "tcp://127.0.0.1:0"},
				{"serve", dir, "--listen", "tcp://127.0.0.1:0", "--store", "leveldb"},
				{"put", "--db", dir, "--create", "pebble", "a", "1"},
				{"get", "--db", dir, "a"},
				{"clear", "--db", dir, "--all"},
			} {
				cli(t, args...).failed(t, exitOpen, dir)
			}
			same(t, before, tree(t, dir))
		})
	}
}

func TestOtherEngine(t *testing.T) {
	t.Parallel()
	for engine, other := range map[string]string{enginePebble: engineLevelDB, engineLevelDB: enginePebble} {
		t.Run(engine, func(t *testing.T) {
			dir := t.TempDir()
			cli(t, "put", "--db", dir, "--create", engine, "a", "1").ok(t)
			before := tree(t, dir)
			cli(t, "serve", dir, "--store", other, "--listen", "tcp://127.0.0.1:0").failed(t, exitUsage, dir, "--store "+other, engine)
			// --create is about what is not there yet.
			if got := cli(t, "get", "--db", dir, "a").ok(t); got != "1" {
				t.Errorf("get a: %q", got)
			}
			same(t, before, tree(t, dir))
		})
	}
}

func TestMissingDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{
		{"get", "a"}, {"put", "a", "1"}, {"del", "a"}, {"scan"}, {"clear", "--all"}, {"export"}, {"import"}, {"batch"}, {"stats"},
	} {
		cli(t, append(args, "--db", dir)...).failed(t, exitOpen, dir, "no store")
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
}
