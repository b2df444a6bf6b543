package mld

import (
	"context"
	"io"
)

// Reader reads an ordered key-value store. Its methods may be called together.
type Reader interface {
	// Get returns the value of key, or [ErrNotFound].
	Get(ctx context.Context, key []byte) ([]byte, error)

	// GetMany returns one value for each key, in the order of keys. The value
	// of a key that is not there is nil; an empty value is not nil. All values
	// come from one state of the store.
	GetMany(ctx context.Context, keys [][]byte) ([][]byte, error)

	// NewIterator returns an iterator over a range, positioned before its first
	// entry. Nil options mean everything, forwards. The iterator reads the
	// state that the store had when NewIterator was called. The context governs
	// the iterator until it is closed, not only this call. The options and the
	// slices in them may be reused when NewIterator returns.
	NewIterator(ctx context.Context, o *IterOptions) (Iterator, error)
}

// Writer changes an ordered key-value store. Its methods may be called
// together; each takes effect whole or not at all. Nil options mean the
// defaults of the store.
type Writer interface {
	// Put sets the value of key.
	Put(ctx context.Context, key, value []byte, o *WriteOptions) error

	// Delete removes key. A key that is not there is no error.
	Delete(ctx context.Context, key []byte, o *WriteOptions) error

	// Apply does the operations of a batch in order, all or none. A batch
	// without operations is no error. Apply does not keep or change b.
	Apply(ctx context.Context, b *Batch, o *WriteOptions) error

	// Clear removes the entries of a range: the first r.Limit of them in the
	// range's direction, or all.
	Clear(ctx context.Context, r Range, o *WriteOptions) error
}

// Snapshot is an unchanging view of a store, taken by [Store.NewSnapshot]. Close
// releases it; iterators made from it must be closed first.
type Snapshot interface {
	Reader
	io.Closer
}

// Store is an ordered key-value store: keys are byte strings, ordered as by
// [bytes.Compare]. All methods may be called together; after Close, which may
// be called more than once, they return [ErrClosed].
type Store interface {
	Reader
	Writer

	// NewSnapshot takes a snapshot of the present state. A store whose other
	// end cannot do that returns [ErrUnsupported].
	NewSnapshot(ctx context.Context) (Snapshot, error)

	// Close releases the store. Iterators and snapshots should be closed
	// before; those that are not fail from then on.
	Close() error
}

// PinnedGetter is implemented by a store or a snapshot that can lend a value
// without copying it.
type PinnedGetter interface {
	// GetPinned returns the value of key, or [ErrNotFound]. The value must not
	// be changed and is valid until the closer, which may be nil, is closed.
	GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error)
}

// GetPinned calls r's GetPinned where r is a [PinnedGetter], and else its Get,
// whose value needs no closer.
func GetPinned(ctx context.Context, r Reader, key []byte) ([]byte, io.Closer, error) {
	if p, ok := r.(PinnedGetter); ok {
		return p.GetPinned(ctx, key)
	}
	value, err := r.Get(ctx, key)
	return value, nil, err
}

// EachGetter is implemented by a store or a snapshot that can lend the values of
// many keys one after the other, so that they need not all be held at once.
type EachGetter interface {
	// GetEach calls f for each key, in the order of keys, with its value, which
	// is nil for a key that is not there. All values come from one state of the
	// store. A value must not be changed and is valid until f returns. GetEach
	// stops at the first error of f and returns it.
	GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error
}

// GetEach calls r's GetEach where r is an [EachGetter], and else goes through
// what its GetMany returns.
func GetEach(ctx context.Context, r Reader, keys [][]byte, f func(i int, value []byte) error) error {
	if e, ok := r.(EachGetter); ok {
		return e.GetEach(ctx, keys, f)
	}
	values, err := r.GetMany(ctx, keys)
	if err != nil {
		return err
	}
	for i, value := range values {
		if err := f(i, value); err != nil {
			return err
		}
	}
	return nil
}

// TogetherGetter is implemented by a store that does several gets in less time
// than one after the other.
type TogetherGetter interface {
	// GetTogether calls f once for each key, in any order, with what Get would
	// return. Unlike those of [EachGetter], the values need not come from one
	// state of the store: each is that of some moment during the call. A value
	// must not be changed and is valid until f returns. GetTogether stops at the
	// first error that f returns, and returns it.
	GetTogether(ctx context.Context, keys [][]byte, f func(i int, value []byte, err error) error) error
}

// GetTogether calls r's GetTogether where r is a [TogetherGetter], and else
// [GetInTurn].
func GetTogether(ctx context.Context, r Reader, keys [][]byte, f func(i int, value []byte, err error) error) error {
	if t, ok := r.(TogetherGetter); ok {
		return t.GetTogether(ctx, keys, f)
	}
	return GetInTurn(ctx, r, keys, f)
}

// GetInTurn does what a [TogetherGetter] does by one get after the other, with
// [GetPinned], in the order of keys.
func GetInTurn(ctx context.Context, r Reader, keys [][]byte, f func(i int, value []byte, err error) error) error {
	for i, key := range keys {
		value, closer, err := GetPinned(ctx, r, key)
		err = f(i, value, err)
		if closer != nil {
			if cerr := closer.Close(); err == nil {
				err = cerr
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// DeferredWriter is implemented by a store that can apply writes before they are
// durable, so that several of them share what durability costs.
type DeferredWriter interface {
	// ApplyDeferred is Apply, but returns when the batch is visible. The batch is
	// as durable as o says when a later call of Harden with that durability has
	// returned nil, or one of Apply for a batch that is not empty. Until
	// then the death of the process may undo it; what was applied before it is
	// undone only with it.
	ApplyDeferred(ctx context.Context, b *Batch, o *WriteOptions) error

	// Harden returns when every batch for which ApplyDeferred had returned before
	// Harden was called, whoever called it, is as durable as o says.
	Harden(ctx context.Context, o *WriteOptions) error
}

// ApplyDeferred calls w's ApplyDeferred where w is a [DeferredWriter], and else its
// Apply, after which there is nothing to harden.
func ApplyDeferred(ctx context.Context, w Writer, b *Batch, o *WriteOptions) error {
	if d, ok := w.(DeferredWriter); ok {
		return d.ApplyDeferred(ctx, b, o)
	}
	return w.Apply(ctx, b, o)
}

// Harden calls w's Harden where w is a [DeferredWriter], and else does nothing.
func Harden(ctx context.Context, w Writer, o *WriteOptions) error {
	if d, ok := w.(DeferredWriter); ok {
		return d.Harden(ctx, o)
	}
	return nil
}

// Stats is what a store tells of itself.
type Stats struct {
	// Engine names the implementation: "pebble", "leveldb", "memory" …
	Engine string `json:"engine"`
	// Path is the directory of the store, if it has one.
	Path string `json:"path,omitempty"`
	// DiskBytes is the size of the store's files, MemoryBytes what its caches
	// and buffers hold; zero where the engine does not tell.
	DiskBytes   int64 `json:"disk_bytes,omitempty"`
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	// Metrics are further figures by name. A name ends in its unit: _bytes,
	// _seconds, _total for what only grows, nothing for a plain count.
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// Statser is implemented by a store that can tell of itself.
type Statser interface {
	Stats(ctx context.Context) (Stats, error)
}

// Durability says when a write counts as done.
type Durability uint8

const (
	// DurabilityDefault leaves the choice to the store.
	DurabilityDefault Durability = iota
	// DurabilitySync acknowledges a write when it is on disk.
	DurabilitySync
	// DurabilityNoSync acknowledges a write when the operating system has it: it
	// survives the death of every process, that of the one that has the store
	// open included, and is lost if the machine loses power before the system
	// has written it out.
	DurabilityNoSync
)

// String returns "default", "sync" or "nosync".
func (d Durability) String() string {
	switch d {
	case DurabilitySync:
		return "sync"
	case DurabilityNoSync:
		return "nosync"
	default:
		return "default"
	}
}

// WriteOptions modify one write. Nil is the zero value.
type WriteOptions struct {
	// Durability defaults to the store's own choice.
	Durability Durability
}

// Sync and NoSync are the options that ask for nothing but a durability. They
// must not be changed.
var (
	Sync   = &WriteOptions{Durability: DurabilitySync}
	NoSync = &WriteOptions{Durability: DurabilityNoSync}
)

// Durable returns the durability that o, which may be nil, asks for, or def
// where it asks for none.
func (o *WriteOptions) Durable(def Durability) Durability {
	if o == nil || o.Durability == DurabilityDefault {
		return def
	}
	return o.Durability
}
