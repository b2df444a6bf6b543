package main

import (
	"errors"
	"log/slog"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/store/probe"
)

// The names of the engines.
const (
	enginePebble  = "pebble"
	engineLevelDB = "leveldb"
	engineMemory  = "memory"
)

// The names of the durabilities.
const (
	syncWrites   = "sync"
	noSyncWrites = "nosync"
)

func durability(name string) mld.Durability {
	switch name {
	case syncWrites:
		return mld.DurabilitySync
	case noSyncWrites:
		return mld.DurabilityNoSync
	default:
		return mld.DurabilityDefault
	}
}

// engineOptions say how a directory is opened.
type engineOptions struct {
	// engine is what the directory must hold; "" is any.
	engine string
	// create says what to do where there is no store: make one of that engine,
	// or refuse if it is "".
	create     string
	readOnly   bool
	durability mld.Durability
	cache      int64 // bytes; 0 is the engine's default
	memtable   int64 // bytes; 0 is the engine's default
	logger     *slog.Logger
}

// findEngine returns the engine that the store in dir belongs to, or is to.
func findEngine(dir string, o engineOptions) (string, error) {
	kind, err := probe.Directory(dir)
	// The engine looks again, and knows a damaged store from one in the making.
	if err != nil && !errors.Is(err, mld.ErrCorruption) {
		return "", openError(err)
	}
	engine := kind.String()
	if kind == probe.Missing || kind == probe.Empty {
		if engine = o.create; engine == "" {
			return "", openError(&mld.Error{Code: mld.CodeNotFound, Op: "open", Where: dir, Msg: "there is no store in this directory"})
		}
	}
	if o.engine != "" && o.engine != engine {
		return "", usageError("--store %s, but %s holds a store of %s; leave out --store or give another directory", o.engine, dir, engine)
	}
	return engine, nil
}

// openDirectory opens the store in dir with the engine that it belongs to. It
// writes nothing into a directory that holds something else.
func openDirectory(dir string, o engineOptions) (mld.Store, error) {
	engine, err := findEngine(dir, o)
	if err != nil {
		return nil, err
	}
	store, err := openEngine(dir, engine, o)
	if err != nil {
		return nil, openError(err)
	}
	return store, nil
}

func openEngine(dir, engine string, o engineOptions) (mld.Store, error) {
	if engine == engineLevelDB {
		return leveldbstore.Open(dir, &leveldbstore.Options{
			ReadOnly:         o.readOnly,
			ErrorIfMissing:   o.create == "",
			Durability:       o.durability,
			CacheBytes:       o.cache,
			WriteBufferBytes: o.memtable,
			Logger:           o.logger,
		})
	}
	return pebblestore.Open(dir, &pebblestore.Options{
		ReadOnly:       o.readOnly,
		ErrorIfMissing: o.create == "",
		Durability:     o.durability,
		CacheBytes:     o.cache,
		MemTableBytes:  o.memtable,
		Logger:         o.logger,
	})
}
