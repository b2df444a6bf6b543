// Package probe recognises what a directory holds: the store of an engine, and
// of which one, or something else. It only reads. It takes no lock and opens no
// engine, so it may look at a directory while another process works in it.
package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/multileveldown/mld"
)

// Kind is what a directory was found to hold.
type Kind uint8

// A store may be created where a directory is Missing or Empty, and opened where
// it is LevelDB or Pebble. The other kinds come with an error.
const (
	// Missing: there is nothing under this name.
	Missing Kind = iota + 1
	// Empty: there is a directory with nothing in it but, perhaps, what is left
	// of a store that was destroyed or whose creation was cut short: locks,
	// logs of events, a LevelDB manifest that is not in use.
	Empty
	// LevelDB: a store of LevelDB, as written by C++ (Node's classic-level and
	// leveldown) and by goleveldb.
	LevelDB
	// Pebble: a store of Pebble.
	Pebble
	// RocksDB, Badger, Bolt, LMDB and SQLite: a database of that engine, which
	// may be a single file.
	RocksDB
	Badger
	Bolt
	LMDB
	SQLite
	// Foreign: anything else.
	Foreign
)

var kindNames = [...]string{
	Missing: "missing",
	Empty:   "empty",
	LevelDB: "leveldb",
	Pebble:  "pebble",
	RocksDB: "rocksdb",
	Badger:  "badger",
	Bolt:    "bolt",
	LMDB:    "lmdb",
	SQLite:  "sqlite",
	Foreign: "foreign",
}

// String returns the name of the kind in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown"
}

// Directory returns what dir holds. The error says, for people, why no store can
// be opened or created there. It is
//
//   - [mld.ErrInvalidArgument] for every kind after Pebble,
//   - [mld.ErrUnsupported] with the kind LevelDB for a store whose keys are not
//     ordered byte by byte, such as those that browsers keep for IndexedDB,
//   - [mld.ErrCorruption] with the kind LevelDB for a store without the files
//     that it cannot be read without. Another process that is just creating or
//     deleting a store may leave that impression for a moment.
//   - [mld.ErrIO] with the kind 0 where the system would not tell.
//
// Pebble's own files are not looked into.
func Directory(dir string) (Kind, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing, nil
	case err != nil:
		return 0, ioError(dir, err)
	case info.Mode().IsRegular():
		return file(dir)
	case !info.IsDir():
		return Foreign, refusal(dir, "this is not a directory")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, ioError(dir, err)
	}
	names := make([]string, len(entries)) // in order
	for i, e := range entries {
		names[i] = e.Name()
	}
	return recognise(dir, names)
}

func recognise(dir string, names []string) (Kind, error) {
	has := func(name string) bool {
		_, ok := slices.BinarySearch(names, name)
		return ok
	}
	kind, seen, err := byOptions(dir, names)
	if err != nil {
		return 0, ioError(dir, err)
	}
	switch {
	case kind == Pebble:
		return Pebble, nil
	case kind == RocksDB:
		return RocksDB, otherEngine(dir, "RocksDB", seen)
	case has("IDENTITY"):
		return RocksDB, otherEngine(dir, "RocksDB", "IDENTITY")
	case has("KEYREGISTRY"):
		return Badger, otherEngine(dir, "BadgerDB", "KEYREGISTRY")
	case has("MANIFEST"):
		head, err := readHead(filepath.Join(dir, "MANIFEST"))
		if err != nil {
			return 0, ioError(dir, err)
		}
		if bytes.HasPrefix(head, []byte("Bdgr")) {
			return Badger, otherEngine(dir, "BadgerDB", "MANIFEST")
		}
	case has("data.mdb"):
		return LMDB, otherEngine(dir, "LMDB", "data.mdb")
	}
	return levelDB(dir, names)
}

// byOptions recognises the engines that keep their options in a file, by what it
// says, and Pebble also by its markers, which exist before its options do.
func byOptions(dir string, names []string) (kind Kind, seen string, err error) {
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "marker.format-version."), strings.HasPrefix(name, "marker.manifest."):
			return Pebble, name, nil
		case strings.HasPrefix(name, "OPTIONS-"):
			head, err := readHead(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // its owner has just replaced it
			}
			if err != nil {
				return 0, "", err
			}
			if bytes.Contains(head, []byte("pebble_version=")) {
				return Pebble, name, nil
			}
			if bytes.Contains(head, []byte("rocksdb_version=")) {
				return RocksDB, name, nil
			}
		}
	}
	return 0, "", nil
}

// headSize is how much of a file is read to recognise it. A RocksDB OPTIONS file
// begins with a comment of some 400 bytes.
const headSize = 4 << 10

func readHead(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, headSize))
}

// file recognises the engines that keep a database in one file.
func file(name string) (Kind, error) {
	head, err := readHead(name)
	if err != nil {
		return 0, ioError(name, err)
	}
	if bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return SQLite, otherEngine(name, "SQLite", "")
	}
	// The first page of Bolt and LMDB has a header of 16 bytes before its magic
	// number, which is in the byte order of the machine that made it.
	if len(head) >= 20 {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			switch order.Uint32(head[16:]) {
			case 0xed0cdaed:
				return Bolt, otherEngine(name, "bbolt", "")
			case 0xbeefc0de:
				return LMDB, otherEngine(name, "LMDB", "")
			}
		}
	}
	return Foreign, refusal(name, "this is a file, not a directory")
}

func ioError(dir string, err error) error {
	return &mld.Error{Code: mld.CodeIO, Op: "open", Where: dir, Err: err}
}

// refusal says what dir is and what to do instead.
func refusal(dir, what string) error {
	return &mld.Error{
		Code:  mld.CodeInvalidArgument,
		Op:    "open",
		Where: dir,
		Msg:   what + "; give a directory that holds a LevelDB or Pebble store, or one that is empty or not there yet",
	}
}

func otherEngine(dir, engine, seen string) error {
	if seen != "" {
		seen = " (it has " + seen + ")"
	}
	return refusal(dir, fmt.Sprintf("this is a database of %s%s, which cannot be opened here", engine, seen))
}

// foreign names the first few of the files that were seen.
func foreign(dir string, names []string) error {
	const most = 3
	shown := names[:min(len(names), most)]
	what := "this directory holds something else: " + strings.Join(shown, ", ")
	if more := len(names) - len(shown); more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	return refusal(dir, what)
}
