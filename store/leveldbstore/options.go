package leveldbstore

import (
	"fmt"
	"log/slog"
	"math"

	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"github.com/multileveldown/mld"
)

// Compression is how blocks of entries are compressed. Blocks are read however
// they were compressed.
type Compression uint8

const (
	// Snappy is the default of LevelDB and of the Node packages.
	Snappy Compression = iota
	// NoCompression stores entries as they are.
	NoCompression
)

// Options modify a store. Nil is the zero value: the defaults.
type Options struct {
	// ReadOnly opens an existing store that refuses writes with
	// [mld.ErrReadOnly]. It may be open in several processes at once, but not
	// while one of them writes.
	ReadOnly bool

	// ErrorIfMissing makes Open fail, with an error that is also
	// [io/fs.ErrNotExist], where there is no store. By default it makes one,
	// and the directory with its parents. ReadOnly implies it.
	ErrorIfMissing bool

	// Durability is that of writes which ask for none. It defaults to
	// DurabilitySync.
	Durability mld.Durability

	// CacheBytes is the size of the cache of uncompressed blocks. It defaults
	// to 32 MiB; a negative size means no cache.
	CacheBytes int64

	// WriteBufferBytes is how much is collected in memory, and in the journal,
	// before it becomes a table; up to twice as much is held at a time. It
	// defaults to 4 MiB, as in Node, and must not be more than 1 GiB.
	WriteBufferBytes int64

	// Compression of new blocks. It defaults to Snappy.
	Compression Compression

	// BloomBits is the size of the filters of new tables, in bits a key, that
	// save reads for keys which are not there. It defaults to 10, as in Node;
	// a negative size means that none are written or read.
	BloomBits int

	// Lock is the lock of the directory, taken beforehand with [LockDirectory].
	// Open takes it over, whether it succeeds or not: it is released when the
	// store is closed. By default Open takes the lock itself.
	Lock *Lock

	// Logger is told what the engine does, at level debug, and what it lost or
	// failed to do, at level warning. Nil discards both. The file LOG in the
	// directory has them too.
	Logger *slog.Logger
}

const (
	defaultCacheBytes       = 32 << 20
	defaultWriteBufferBytes = 4 << 20
	maxWriteBufferBytes     = 1 << 30
	defaultBloomBits        = 10
)

// withDefaults returns the options with every zero field filled in.
func (o *Options) withDefaults() Options {
	var full Options
	if o != nil {
		full = *o
	}
	if full.Durability == mld.DurabilityDefault {
		full.Durability = mld.DurabilitySync
	}
	if full.CacheBytes == 0 {
		full.CacheBytes = defaultCacheBytes
	}
	if full.WriteBufferBytes == 0 {
		full.WriteBufferBytes = defaultWriteBufferBytes
	}
	if full.BloomBits == 0 {
		full.BloomBits = defaultBloomBits
	}
	if full.Logger == nil {
		full.Logger = slog.New(slog.DiscardHandler)
	}
	return full
}

// validate refuses what makes no sense.
func (o *Options) validate(dir string) error {
	invalid := func(field string, value any) error {
		return &mld.Error{Code: mld.CodeInvalidArgument, Op: "open", Where: dir, Msg: fmt.Sprintf("%s is %v", field, value)}
	}
	switch {
	case o.Durability > mld.DurabilityNoSync:
		return invalid("Durability", uint8(o.Durability))
	case o.WriteBufferBytes < 0 || o.WriteBufferBytes > maxWriteBufferBytes:
		return invalid("WriteBufferBytes", o.WriteBufferBytes)
	case o.Compression > NoCompression:
		return invalid("Compression", o.Compression)
	case o.Lock != nil && o.ReadOnly:
		return invalid("ReadOnly", "set, and Lock is that of a writer")
	}
	return nil
}

// engine returns the options in goleveldb's terms.
func (o *Options) engine() *opt.Options {
	e := &opt.Options{
		BlockCacheCapacity: int(min(o.CacheBytes, math.MaxInt)),
		WriteBuffer:        int(o.WriteBufferBytes),
		Compression:        opt.SnappyCompression,
		ErrorIfMissing:     o.ErrorIfMissing,
		ReadOnly:           o.ReadOnly,
		// Large batches go through the journal as small ones do, as in C++. As
		// a transaction they would flush the write buffer first, and a failure
		// could not be recovered from; see clear.
		DisableLargeBatchTransaction: true,
	}
	if o.CacheBytes < 0 {
		e.BlockCacheCapacity = -1
	}
	if o.Compression == NoCompression {
		e.Compression = opt.NoCompression
	}
	if o.BloomBits > 0 {
		e.Filter = bloom{filter.NewBloomFilter(o.BloomBits)}
	}
	return e
}

// bloom is the filter policy of the Node packages. Their name for it says that
// bytes are hashed unsigned, which goleveldb does, too, but under the name of
// C++ LevelDB's older policy, which did not. Filters by that name are not read:
// they cannot be told apart.
type bloom struct{ filter.Filter }

func (bloom) Name() string { return "leveldb.BuiltinBloomFilter2" }
