package pebblestore

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"runtime"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/multileveldown/mld"
)

// Options modify a store. Nil is the zero value: the defaults.
type Options struct {
	// CacheBytes is the size of the cache of uncompressed blocks. It defaults
	// to 64 MiB.
	CacheBytes int64

	// MemTableBytes is how much is written to memory before it goes to a table
	// on disk; up to eight such memtables can wait to be written. It defaults to
	// 8 MiB and must be less than 4 GiB.
	MemTableBytes int64

	// Durability is that of writes which ask for none. It defaults to
	// [mld.DurabilitySync].
	Durability mld.Durability

	// ReadOnly opens the store for reading; writes return [mld.ErrReadOnly].
	// The directory is locked nevertheless, against readers too.
	ReadOnly bool

	// ErrorIfMissing makes Open fail, with an error that is also
	// [io/fs.ErrNotExist], where there is no store. By default it makes one,
	// and the directory with its parents. ReadOnly implies it.
	ErrorIfMissing bool

	// ErrorIfExists makes Open fail, with an error that is also
	// [io/fs.ErrExist], where there is a store.
	ErrorIfExists bool

	// FS is the file system. It defaults to that of the system.
	FS vfs.FS

	// Lock is the lock of the directory, taken beforehand with [LockDirectory].
	// Open takes it over, whether it succeeds or not: it is released when the
	// store has let go of its files. By default Open takes the lock itself.
	Lock *Lock

	// Logger gets the errors that Pebble meets in the background, and at the
	// level Debug what it does there. Nil discards.
	Logger *slog.Logger

	// Configure, if not nil, is called with Pebble's own options, as made from
	// those above, for what they do not cover.
	Configure func(*pebble.Options)
}

// validate refuses what contradicts itself or makes no sense.
func (o *Options) validate(dir string) error {
	refuse := func(format string, args ...any) error {
		return &mld.Error{Code: mld.CodeInvalidArgument, Op: "open", Where: dir, Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case o.CacheBytes < 0:
		return refuse("CacheBytes is %d", o.CacheBytes)
	case o.MemTableBytes < 0 || o.MemTableBytes >= 4<<30:
		return refuse("MemTableBytes is %d; it must be from 0 to 4 GiB less one", o.MemTableBytes)
	case o.Durability > mld.DurabilityNoSync:
		return refuse("Durability is %d", o.Durability)
	case o.ReadOnly && o.ErrorIfExists:
		return refuse("ReadOnly and ErrorIfExists exclude each other")
	case o.ErrorIfMissing && o.ErrorIfExists:
		return refuse("ErrorIfMissing and ErrorIfExists exclude each other")
	}
	return nil
}

// withDefaults returns a copy of o, which may be nil, with the defaults filled
// in.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.CacheBytes == 0 {
		d.CacheBytes = 64 << 20
	}
	if d.MemTableBytes == 0 {
		d.MemTableBytes = 8 << 20
	}
	if d.Durability == mld.DurabilityDefault {
		d.Durability = mld.DurabilitySync
	}
	if d.FS == nil {
		d.FS = vfs.Default
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// pebble returns what Pebble is opened with.
func (o *Options) pebble(l *logger, syncs *syncs) *pebble.Options {
	p := &pebble.Options{
		CacheSize: o.CacheBytes,
		// Half of what a put of a random key takes is to find its place in the
		// memtable, which is faster while that fits the processor's caches: puts to
		// memtables of 8 MiB were a third faster than to those of 32 MiB. Of 4 MiB
		// they were a tenth faster still, but twice as many bytes went to disk, and
		// fsyncs of the log took longer. Eight may wait, so that a burst is not held
		// up by the disk.
		MemTableSize:                uint64(o.MemTableBytes),
		MemTableStopWritesThreshold: 8,
		// Every overlapping table at the top is one more to look into for each
		// read, and 3 KiB more for each open iterator, and each merge writes what is
		// below anew: at four, puts of random keys took a tenth more of the processor
		// than at eight, and synced ones were a tenth slower. Never stop writers for
		// their sake, which would make a put take seconds.
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: 1000,
		// A store of up to that size has one level below the top. With Pebble's
		// 64 MiB, one of 116 MB had two, which after random puts took 159 MB of the
		// disk instead of 90, and twice as long to scan.
		LBaseMaxBytes: 512 << 20,
		// One compaction at rest; under load as many as leave a processor to
		// the program.
		CompactionConcurrencyRange: func() (lower, upper int) {
			return 1, max(1, min(3, runtime.GOMAXPROCS(0)-1))
		},
		// No other version of Pebble needs to read what we write, and the
		// newest format has columnar blocks, which are faster to read.
		FormatMajorVersion: pebble.FormatNewest,
		FS:                 guardedFS{o.FS, l.failure, syncs},
		ReadOnly:           o.ReadOnly,
		Logger:             l,
		EventListener:      o.events(l),
	}
	// Ten bits for each key let all but one in a hundred reads pass by a table
	// without the key. A filter costs little beside the blocks, so every level
	// has one.
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		// A scan, and a merge, pays for each block that it enters: with 16 KiB
		// instead of Pebble's 4, scans were half again as fast, and puts a tenth. A
		// get of a block that is not cached takes a tenth longer.
		p.Levels[i].BlockSize = 16 << 10
	}
	// Values are small and read often: compress for speed on every level.
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	if o.Configure != nil {
		o.Configure(p)
	}
	return p
}

func (o *Options) events(l *logger) *pebble.EventListener {
	var e pebble.EventListener
	if o.Logger.Enabled(context.Background(), slog.LevelDebug) {
		e = pebble.MakeLoggingEventListener(l)
	}
	e.BackgroundError = func(err error) { l.Errorf("background error: %v", err) }
	// The read that met it returns the error; that is no reason to stop.
	e.DataCorruption = func(info pebble.DataCorruptionInfo) { l.Errorf("%s", info) }
	return &e
}

// Exists reports whether dir holds a store of Pebble's. It writes nothing. A nil
// fs is the file system of the system.
func Exists(dir string, fs vfs.FS) (bool, error) {
	if fs == nil {
		fs = vfs.Default
	}
	desc, err := pebble.Peek(dir, fs)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, wrap("open", nil, dir, err)
	}
	return desc.Exists, nil
}

// Open opens the store in a directory, or makes one. It fails with
// [mld.ErrLocked] while it is open elsewhere, in this process or in another one,
// and with [mld.ErrInvalidArgument] when the options make no sense or the
// directory holds a LevelDB.
func Open(dir string, o *Options) (*Store, error) {
	opts := o.withDefaults()
	if opts.Lock != nil {
		defer opts.Lock.Close() // see below
	}
	if err := opts.validate(dir); err != nil {
		return nil, err
	}
	if err := opts.check(dir); err != nil {
		return nil, err
	}
	lock, err := opts.lock(dir)
	if err != nil {
		return nil, err
	}
	if opts.Lock == nil {
		defer lock.Close() // the database has taken it over, or nobody needs it
	}

	failure := &failure{}
	syncs := newSyncs()
	po := opts.pebble(&logger{opts.Logger, failure}, syncs)
	po.Lock = lock.held
	db, err := pebble.Open(dir, po)
	if err == nil {
		if err = failure.error("open", dir); err != nil {
			_ = db.Close()
		}
	}
	if err != nil {
		return nil, wrap("open", nil, dir, err)
	}
	s := &Store{dir: dir, db: db, durability: opts.Durability, readOnly: opts.ReadOnly, failure: failure, syncs: syncs}
	s.refs.Store(1)
	s.open.holders = map[holder]struct{}{}
	return s, nil
}

// check looks at what the directory holds, before anything is written to it.
func (o *Options) check(dir string) error {
	exists, err := Exists(dir, o.FS)
	if err != nil {
		return err
	}
	refuse := func(msg string, cause error) error {
		return &mld.Error{Code: mld.CodeInvalidArgument, Op: "open", Where: dir, Msg: msg, Err: cause}
	}
	switch {
	case exists && o.ErrorIfExists:
		return refuse("the directory holds a Pebble store already", iofs.ErrExist)
	case exists:
		return nil
	}
	if _, err := o.FS.Stat(o.FS.PathJoin(dir, "CURRENT")); err == nil {
		// Pebble would take its files for its own and remove them.
		return refuse("the directory holds a LevelDB", nil)
	}
	if o.ReadOnly || o.ErrorIfMissing {
		return refuse("the directory holds no Pebble store", iofs.ErrNotExist)
	}
	return nil
}

// lock makes the directory if need be and locks it.
func (o *Options) lock(dir string) (*Lock, error) {
	if o.Lock != nil {
		return o.Lock, nil
	}
	if !o.ReadOnly {
		if err := o.FS.MkdirAll(dir, 0o755); err != nil {
			return nil, wrap("open", nil, dir, err)
		}
	}
	return lockDirectory(dir, o.FS)
}
