package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/wire"
)

const (
	// defaultAddress is where mld serve listens, and where the other commands
	// look for it. The port is "mld" on the keys of a telephone.
	defaultAddress = "tcp://127.0.0.1:6530"

	// dbEnv is the environment variable that is used without --db.
	dbEnv = "MLD_DB"

	defaultTimeout = 10 * time.Second
)

// storeFlags say which store every command but mld serve works on. They may be
// given before the name of the command, too.
type storeFlags struct {
	db      string
	timeout time.Duration
}

func (f *storeFlags) add(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&f.db, "db", "", "a directory, or the address of a server: tcp://HOST:PORT, unix:PATH, or\n"+
		"exec:COMMAND that speaks on its stdin and stdout\n(default $"+dbEnv+", or else "+defaultAddress+")")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "how long to wait for a server that makes no progress; 0 is for ever")
	root.MarkPersistentFlagDirname("db") //nolint:errcheck // the flag exists
}

// dbFlags are the further flags of a command that works on a store.
type dbFlags struct {
	app     *app
	flags   *cobra.Command
	dialect string
	sync    string
	create  string
}

func (a *app) addDBFlags(c *cobra.Command) *dbFlags {
	f := &dbFlags{app: a, flags: c}
	choiceFlag(c, &f.dialect, "dialect", wire.ManyLevel.String(), "what is spoken to a server that is not ours",
		wire.ManyLevel.String(), wire.Multileveldown.String())
	return f
}

// addWriteFlags adds the flags of a command that writes.
func (f *dbFlags) addWriteFlags() {
	choiceFlag(f.flags, &f.sync, "sync", "", "when a write counts as done: sync, when it is on disk; nosync, when the\n"+
		"system has it (default: what the server was told, or sync for a directory)", syncWrites, noSyncWrites)
}

// addCreateFlag adds the flag of a command that may begin a store.
func (f *dbFlags) addCreateFlag() {
	choiceFlag(f.flags, &f.create, "create", "", "where the directory has no store, make one of this engine", enginePebble, engineLevelDB)
}

func (f *dbFlags) writeOptions() *mld.WriteOptions {
	return &mld.WriteOptions{Durability: durability(f.sync)}
}

// database is an open store, and how long its answers are waited for.
type database struct {
	mld.Store
	where   string
	timeout time.Duration // 0 is for ever, as for a directory of our own
}

// openToRead opens the store for a command that only reads. A directory is not
// written into.
func (f *dbFlags) openToRead(ctx context.Context) (*database, error) { return f.open(ctx, true) }

func (f *dbFlags) openToWrite(ctx context.Context) (*database, error) { return f.open(ctx, false) }

func (f *dbFlags) open(ctx context.Context, readOnly bool) (*database, error) {
	where := f.app.store.db
	if where == "" {
		where = os.Getenv(dbEnv)
	}
	if where == "" {
		where = defaultAddress
	}
	if isAddress(where) {
		return f.dial(ctx, where)
	}
	return f.openDirectory(ctx, where, readOnly)
}

// isAddress reports whether s is an address rather than a directory.
func isAddress(s string) bool {
	scheme, _, _ := strings.Cut(s, ":")
	return scheme == "unix" || scheme == "exec" || strings.Contains(s, "://")
}

// patience is after what time without a connection a person is told.
const patience = time.Second

func (f *dbFlags) dial(ctx context.Context, address string) (*database, error) {
	dial, err := client.Dialer(address)
	if err != nil {
		return nil, usageError("--db: %w", err)
	}
	timeout := f.app.store.timeout
	if timeout < 0 {
		return nil, usageError("--timeout %v: it must not be negative", timeout)
	}
	dialect, err := wire.ParseDialect(f.dialect)
	if err != nil {
		return nil, err
	}
	c := client.New(dial, &client.Options{Dialect: dialect})
	db := &database{Store: c, where: address, timeout: timeout}
	if timeout == 0 || timeout > patience {
		early, cancel := context.WithTimeout(ctx, patience)
		err := c.WaitReady(early)
		cancel()
		if err != nil && ctx.Err() == nil && isTerminal(f.app.stderr) {
			fmt.Fprintf(f.app.stderr, "mld: waiting for %s: %v\n", address, c.LastError())
		}
	}
	if err := db.call(ctx, c.WaitReady); err != nil {
		c.Close()
		return nil, openError(err)
	}
	return db, nil
}

// call does one call of the store, and waits for it no longer than the timeout.
func (db *database) call(ctx context.Context, f func(context.Context) error) error {
	if db.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, db.timeout)
		defer cancel()
	}
	err := f(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return &timeoutError{db.where, db.timeout, err}
	}
	return err
}

// timeoutError is returned when a server did not answer in time.
type timeoutError struct {
	where   string
	timeout time.Duration
	err     error
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("no answer from %s within %v: %v", e.where, e.timeout, e.err)
}

func (e *timeoutError) Unwrap() error { return e.err }

// walk calls f for each entry of a range, all of one state of the store. The
// slices are valid until f returns. Only the time in which the store is waited
// for counts for the timeout.
func (db *database) walk(ctx context.Context, o *mld.IterOptions, f func(key, value []byte) error) error {
	if db.timeout == 0 {
		return walk(ctx, db.Store, o, func(next func() bool) bool { return next() }, f)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(db.timeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	err := walk(ctx, db.Store, o, func(next func() bool) bool {
		timer.Reset(db.timeout)
		defer timer.Stop()
		return next()
	}, f)
	if err != nil && context.Cause(ctx) == context.DeadlineExceeded {
		return &timeoutError{db.where, db.timeout, context.DeadlineExceeded}
	}
	return err
}

func walk(ctx context.Context, store mld.Store, o *mld.IterOptions, wait func(func() bool) bool, f func(key, value []byte) error) error {
	it, err := store.NewIterator(ctx, o)
	if err != nil {
		return err
	}
	defer it.Close()
	for wait(it.Next) {
		if err := f(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Err()
}
