package main

import (
	"context"
	"errors"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/backoff"
	"github.com/multileveldown/mld/party"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/store/reserved"
)

// lockPatience is for how long a directory is waited for that another process has
// locked and does not share. Most are commands like this one, and soon done.
const lockPatience = 2 * time.Second

// openDirectory opens the store in a directory, or joins the process that hosts it. A
// command that only reads does not write into a directory that nobody hosts.
func (f *dbFlags) openDirectory(ctx context.Context, dir string, readOnly bool) (*database, error) {
	if f.app.store.timeout < 0 {
		return nil, usageError("--timeout %v: it must not be negative", f.app.store.timeout)
	}
	o := engineOptions{create: f.create, readOnly: readOnly}
	if !readOnly {
		return f.joinToWrite(ctx, dir, o)
	}
	patience, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	wait := backoff.Backoff{Min: 5 * time.Millisecond, Max: 30 * time.Millisecond}
	for {
		store, err := openDirectory(dir, o)
		if err == nil {
			return &database{Store: reserved.Hide(store), where: dir}, nil
		}
		if !errors.Is(err, mld.ErrLocked) {
			return nil, err
		}
		if isHosted(patience, dir) {
			// Should the host end, this may be the next one: it was shared before.
			return f.join(ctx, dir, &party.Options{})
		}
		if wait.Wait(patience) != nil {
			return nil, err
		}
	}
}

// isHosted reports whether a process hosts a directory, and answers.
func isHosted(ctx context.Context, dir string) bool {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	s, err := party.Look(ctx, dir)
	return err == nil && s.Hosted
}

// joinToWrite makes the command a member of the party for as long as it runs: another
// one that is started meanwhile is its guest.
func (f *dbFlags) joinToWrite(ctx context.Context, dir string, o engineOptions) (*database, error) {
	engine, err := findEngine(dir, o)
	if err != nil {
		return nil, err
	}
	return f.join(ctx, dir, partyOptions(engine, o))
}

func (f *dbFlags) join(ctx context.Context, dir string, o *party.Options) (*database, error) {
	o.JoinTimeout = lockPatience
	p, err := party.JoinContext(ctx, dir, o)
	if err != nil {
		return nil, openError(err)
	}
	db := &database{Store: p, where: dir}
	if p.Role().Role == party.Guest {
		db.timeout = f.app.store.timeout
	}
	return db, nil
}

// partyOptions returns the options of a member on a directory of an engine.
func partyOptions(engine string, o engineOptions) *party.Options {
	return &party.Options{
		Engine:     party.Engine(engine),
		Durability: o.durability,
		Pebble:     &pebblestore.Options{CacheBytes: o.cache, MemTableBytes: o.memtable},
		LevelDB:    &leveldbstore.Options{CacheBytes: o.cache, WriteBufferBytes: o.memtable},
		Logger:     o.logger,
	}
}
