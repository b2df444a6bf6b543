package party

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/filelock"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/store/probe"
)

// lockName is the file whose lock makes the host. It is the one of both engines.
const lockName = "LOCK"

// engine locks a directory and opens the store in it.
type engine struct {
	name string
	lock func() (io.Closer, error)
	// open takes the lock over, whether it succeeds or not.
	open func(lock io.Closer) (mld.Store, io.Closer, error)
}

// findEngine finds the engine of the directory. Only dial calls it once the
// membership has begun.
func (p *Party) findEngine() error {
	e, guessed, err := findEngine(p.dir, &p.o)
	if err != nil {
		return err
	}
	changed := p.engine != nil && p.engine.name != e.name
	p.mu.Lock()
	p.engine, p.guessed = e, guessed
	p.mu.Unlock()
	if changed && p.client != nil {
		p.routeToClient()
	}
	return nil
}

// findEngine returns the engine of a directory, by what it holds, and whether it
// holds nothing to go by. It writes nothing into one that holds something else.
func findEngine(dir string, o *Options) (e *engine, guessed bool, err error) {
	if o.Open != nil {
		return ownEngine(dir, o), false, nil
	}
	kind, err := probe.Directory(dir)
	// The engine looks again, and knows a damaged store from one in the making.
	if err != nil && !errors.Is(err, mld.ErrCorruption) {
		return nil, false, explain(dir, err)
	}
	name := Engine(kind.String())
	guessed = err != nil // its owner may be just making it
	if kind == probe.Missing || kind == probe.Empty {
		guessed = true
		if name = o.Engine; name == "" {
			name = Pebble
		}
	}
	if o.Engine != "" && o.Engine != name {
		return nil, false, &mld.Error{Code: mld.CodeInvalidArgument, Op: "join", Where: dir, Msg: fmt.Sprintf("the directory holds a store of %s, not of %s", name, o.Engine)}
	}
	if name == LevelDB {
		return levelDBEngine(dir, o), guessed, nil
	}
	return pebbleEngine(dir, o), guessed, nil
}

func pebbleEngine(dir string, o *Options) *engine {
	return &engine{
		name: string(Pebble),
		lock: func() (io.Closer, error) { return pebblestore.LockDirectory(dir) },
		open: func(lock io.Closer) (mld.Store, io.Closer, error) {
			var po pebblestore.Options
			if o.Pebble != nil {
				po = *o.Pebble
			}
			po.Lock, _ = lock.(*pebblestore.Lock)
			po.ErrorIfExists, po.ErrorIfMissing = false, false
			set(&po.Logger, o.Logger)
			set(&po.Durability, o.Durability)
			s, err := pebblestore.Open(dir, &po)
			return s, nothing{}, err
		},
	}
}

func levelDBEngine(dir string, o *Options) *engine {
	return &engine{
		name: string(LevelDB),
		lock: func() (io.Closer, error) { return leveldbstore.LockDirectory(dir) },
		open: func(lock io.Closer) (mld.Store, io.Closer, error) {
			var lo leveldbstore.Options
			if o.LevelDB != nil {
				lo = *o.LevelDB
			}
			lo.Lock, _ = lock.(*leveldbstore.Lock)
			lo.ErrorIfMissing = false
			set(&lo.Logger, o.Logger)
			set(&lo.Durability, o.Durability)
			s, err := leveldbstore.Open(dir, &lo)
			return s, nothing{}, err
		},
	}
}

// ownEngine is the one of Options.Open.
func ownEngine(dir string, o *Options) *engine {
	return &engine{
		name: "own",
		lock: func() (io.Closer, error) {
			l, err := filelock.Exclusive(filepath.Join(dir, lockName))
			var held *filelock.HeldError
			if errors.As(err, &held) {
				return nil, &mld.Error{Code: mld.CodeLocked, Op: "join", Where: dir, Err: err}
			}
			if err != nil {
				return nil, err
			}
			return l, nil
		},
		open: func(lock io.Closer) (mld.Store, io.Closer, error) {
			s, err := o.Open(dir)
			if err != nil {
				lock.Close()
				return nil, nil, err
			}
			return s, lock, nil
		},
	}
}

// nothing needs no closing.
type nothing struct{}

func (nothing) Close() error { return nil }

// makeDirectory makes the directory if it is not there.
func makeDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return explain(dir, err)
	}
	return nil
}
