package leveldbstore

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// TestSequenceAhead opens a store whose manifest has the sequence number of a write
// that is in the journal alone, as C++ LevelDB leaves it when it is killed after a
// compaction.
func TestSequenceAhead(t *testing.T) {
	for _, readOnly := range []bool{true, false} {
		dir := t.TempDir()
		if said, _ := startChild(t, "killed", dir); said != "" {
			t.Fatal(said)
		}
		changeManifest(t, dir, func(m *manifest) []byte {
			if m.sequence != 0 || m.journal == 0 {
				t.Fatalf("the manifest has sequence %d and journal %d", m.sequence, m.journal)
			}
			content, err := m.rewind(700)
			if err != nil {
				t.Fatal(err)
			}
			return content
		})
		s := mustOpen(t, dir, &Options{ReadOnly: readOnly})
		if n := count(t, s); n != 1000 {
			t.Errorf("%d of 1000 writes are there", n)
		}
		if readOnly {
			continue
		}
		// What is written later wins, and is there the next time.
		if err := s.Put(t.Context(), []byte("0"), []byte("later"), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, dir, nil)
		if v, err := s.Get(t.Context(), []byte("0")); err != nil || string(v) != "later" {
			t.Errorf("Get: %q, %v", v, err)
		}
	}
}

// TestSequenceKept leaves a manifest alone whose number is not ahead of the journal.
func TestSequenceKept(t *testing.T) {
	dir := made(t)
	before := changeManifest(t, dir, func(m *manifest) []byte {
		if m.sequence == 0 {
			t.Fatal("the manifest has no sequence")
		}
		return nil
	})
	files, err := storage.OpenFile(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	fd, err := files.GetMeta()
	if err != nil {
		t.Fatal(err)
	}
	r, err := rewound{files}.Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var after bytes.Buffer
	if _, err := after.ReadFrom(r); err != nil || !bytes.Equal(after.Bytes(), before) {
		t.Errorf("the manifest was changed: %v", err)
	}
}

// changeManifest returns the manifest of a closed store, and replaces it by what f
// returns unless that is nil.
func changeManifest(t *testing.T, dir string, f func(*manifest) []byte) []byte {
	t.Helper()
	current, err := os.ReadFile(filepath.Join(dir, "CURRENT"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, strings.TrimSpace(string(current)))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readManifest(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if changed := f(m); changed != nil {
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return content
}
