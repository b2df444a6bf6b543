package leveldbstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/probe"
)

// Open opens the LevelDB store in dir, or creates it. Nil options mean the
// defaults. The store is to be closed when it is no longer used.
//
// The error is [mld.ErrLocked] when another process, or this one, has the store
// open, [mld.ErrCorruption] when it is damaged, [mld.ErrUnsupported] when its
// keys are not ordered byte by byte, and [mld.ErrInvalidArgument] when dir holds
// something else, in which case nothing in it is touched.
func Open(dir string, o *Options) (*Store, error) {
	full := o.withDefaults()
	err := full.validate(dir)
	s := &Store{dir: dir, o: full, lock: full.Lock, iterators: make(map[*iterator]struct{})}
	if err == nil {
		err = s.open()
	}
	if err != nil {
		if s.lock != nil {
			s.lock.Close()
		}
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	// Look first, so as not to make as much as a LOCK in the directory of
	// something else. A damaged store may be one that its owner is just making.
	if _, err := s.look(); err != nil && !errors.Is(err, mld.ErrCorruption) {
		return err
	}
	if !s.o.ReadOnly {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return s.fail("open", nil, err)
		}
	}
	if s.lock == nil {
		l, err := lock(s.dir, s.o.ReadOnly)
		if err != nil {
			return s.failOpen(err)
		}
		s.lock = l
	}
	kind, err := s.look()
	if err != nil {
		return err
	}
	if kind == probe.Empty {
		if err := removeUnfinished(s.dir); err != nil {
			return s.failOpen(err)
		}
	} else if err := checkManifest(s.dir); err != nil {
		return s.failOpen(err)
	}
	return s.openEngine()
}

// look returns whether the directory holds a store or could, and an error if
// that is not one to open.
func (s *Store) look() (probe.Kind, error) {
	kind, err := probe.Directory(s.dir)
	if err != nil {
		return kind, err
	}
	switch {
	case kind == probe.LevelDB:
	case kind == probe.Pebble:
		return kind, &mld.Error{Code: mld.CodeInvalidArgument, Op: "open", Where: s.dir, Msg: "this is a Pebble store, not one of LevelDB"}
	case s.o.ReadOnly, s.o.ErrorIfMissing:
		return kind, &mld.Error{Code: mld.CodeInvalidArgument, Op: "open", Where: s.dir, Msg: "there is no store", Err: fs.ErrNotExist}
	}
	return kind, nil
}

// removeUnfinished removes what goleveldb would take for the remains of a lost
// store: manifests that were written and not put in use before their writer
// ended, and drafts of CURRENT. There are no tables or journals that they could
// be needed for.
func removeUnfinished(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "MANIFEST-") || strings.HasPrefix(e.Name(), "CURRENT.") {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) openEngine() error {
	files, err := s.lock.storage(s.dir, s.o.ReadOnly)
	if err != nil {
		return s.failOpen(err)
	}
	db, err := leveldb.Open(rewound{logged{files, s.o.Logger}}, s.o.engine())
	if err != nil {
		files.Close()
		return s.failOpen(err)
	}
	s.files, s.db = files, db
	return nil
}

func (s *Store) failOpen(err error) error { return openError(s.dir, err) }

func openError(dir string, err error) error {
	const advice = "close the store that has it open, or use it through that one's server"
	pid, held := holder(err)
	switch {
	case held && pid != 0:
		return &mld.Error{Code: mld.CodeLocked, Op: "open", Where: dir, Msg: fmt.Sprintf("process %d has it open; %s", pid, advice)}
	case held:
		return &mld.Error{Code: mld.CodeLocked, Op: "open", Where: dir, Msg: advice}
	default:
		return fail("open", nil, dir, err)
	}
}

// logged is goleveldb's storage, with a second reader of its log.
type logged struct {
	storage.Storage
	logger *slog.Logger
}

func (l logged) Log(line string) {
	l.Storage.Log(line)
	if strings.Contains(line, "@drop") || strings.Contains(line, "error") || strings.Contains(line, "corrupted") {
		l.logger.Warn("leveldb: " + line)
	} else {
		l.logger.Debug("leveldb: " + line)
	}
}
