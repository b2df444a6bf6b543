package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/multileveldown/mld"
)

// Bench runs workloads over entries of its own, whose keys are its prefix and
// ten digits. It touches no other entries. Its methods are called one after the
// other.
type Bench struct {
	stores []mld.Store
	o      Options
	// loaded is whether exactly the entries with an index below Options.Keys
	// are there.
	loaded bool
	// sleep is how the pace of a fixed rate is waited for. It may return early.
	sleep func(time.Duration)
}

// New returns a Bench over handles of one store, which stay the caller's. Nil
// options mean the defaults; options that are not valid are an error.
func New(stores []mld.Store, o *Options) (*Bench, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Bench{stores: stores, o: o.withDefaults(), sleep: sleep}, nil
}

// Check returns an error that is [mld.ErrInvalidArgument] when there is an entry
// among the keys that a Bench uses that none wrote. If writes is set, it also
// finds out whether the store takes any; if not, the error is
// [mld.ErrReadOnly].
func (b *Bench) Check(ctx context.Context, writes bool) error {
	walk, stillThere, stop := b.patient(ctx)
	defer stop()
	entries := int64(0)
	for e, err := range mld.All(walk, b.stores[0], &mld.IterOptions{Range: keyRange(b.o.Prefix)}) {
		if walk.Err() != nil {
			return context.Cause(walk)
		}
		if err != nil {
			return err
		}
		index, ok := parseKey(e.Key, b.o.Prefix)
		if !ok || !validValue(e.Value, index) {
			return &mld.Error{
				Code: mld.CodeInvalidArgument, Op: "bench", Key: append([]byte(nil), e.Key...),
				Msg: fmt.Sprintf("this entry is somebody else's; use another prefix than %q", b.o.Prefix),
			}
		}
		if entries++; entries%moveEntries == 0 {
			stillThere()
		}
		if entries%progressEntries == 0 {
			b.o.OnProgress(Progress{What: "looking at what is there", Entries: entries})
		}
	}
	if !writes {
		return nil
	}
	// There is nothing between two keys.
	between := mld.Range{GT: appendKey(nil, b.o.Prefix, 0), LT: appendKey(nil, b.o.Prefix, 1)}
	err := b.call(ctx, func(ctx context.Context) error { return b.stores[0].Clear(ctx, between, nil) })
	if err != nil {
		return fmt.Errorf("entries with the prefix %q cannot be written: %w", b.o.Prefix, err)
	}
	return nil
}

const (
	// progressEntries is after how many entries progress is shown that has no
	// clock.
	progressEntries = 10_000

	// A load is in batches of so many entries, or less when they are large.
	loadEntries = 1000
	loadBytes   = 1 << 20
)

// Load makes the entries be there: those below Options.Keys and no others. It
// does nothing if they are.
func (b *Bench) Load(ctx context.Context) error {
	if b.loaded {
		return nil
	}
	if err := b.Clear(ctx); err != nil {
		return err
	}
	var batch mld.Batch
	var key []byte
	value := make([]byte, b.o.ValueSize)
	for index := range uint64(b.o.Keys) {
		key = appendKey(key[:0], b.o.Prefix, index)
		fillValue(value, index, 0)
		batch.Put(key, value)
		done := index + 1
		if batch.Len() == loadEntries || batch.Size() >= loadBytes || done == uint64(b.o.Keys) {
			err := b.call(ctx, func(ctx context.Context) error { return b.stores[0].Apply(ctx, &batch, mld.NoSync) })
			if err != nil {
				return fmt.Errorf("the entries could not be loaded: %w", err)
			}
			batch.Reset()
		}
		if done%progressEntries == 0 {
			b.o.OnProgress(Progress{What: "loading", Entries: int64(done)})
		}
	}
	b.loaded = true
	return nil
}

// Clear removes all entries of a Bench with this prefix.
func (b *Bench) Clear(ctx context.Context) error {
	b.loaded = false
	return b.call(ctx, func(ctx context.Context) error {
		return b.stores[0].Clear(ctx, keyRange(b.o.Prefix), nil)
	})
}

// call does one call, and waits for it no longer than the timeout.
func (b *Bench) call(ctx context.Context, f func(context.Context) error) error {
	if b.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.o.Timeout)
		defer cancel()
	}
	return f(ctx)
}

// patient returns a context that ends when stillThere was not called for the
// timeout.
func (b *Bench) patient(ctx context.Context) (patient context.Context, stillThere, stop func()) {
	if b.o.Timeout == 0 {
		return ctx, func() {}, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(b.o.Timeout, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() { timer.Reset(b.o.Timeout) }, func() {
		timer.Stop()
		cancel(nil)
	}
}
