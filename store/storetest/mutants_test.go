package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"

	"github.com/multileveldown/mld"
)

// A mutant is a store with one fault, and the test that must find it.
type mutant struct {
	dies string
	wrap func(mld.Store) mld.Store
}

var mutants = map[string]mutant{
	"delete wants the key to exist":                   {"TestSuite/GetPutDelete", func(s mld.Store) mld.Store { return strictDelete{s} }},
	"empty value is missing":                          {"TestSuite/EmptyKeysAndValues", func(s mld.Store) mld.Store { return emptyIsNil{s} }},
	"keys are text":                                   {"TestSuite/BinaryKeys", func(s mld.Store) mld.Store { return textKeys{s} }},
	"values are cut":                                  {"TestSuite/BigValues", func(s mld.Store) mld.Store { return cutValues{s} }},
	"get many without duplicates":                     {"TestSuite/GetMany", func(s mld.Store) mld.Store { return noDuplicates{s} }},
	"get lends":                                       {"TestSuite/Ownership", func(s mld.Store) mld.Store { return lendingGet{s} }},
	"put keeps its arguments":                         {"TestSuite/Ownership", func(s mld.Store) mld.Store { return &lazyPut{Store: s} }},
	"put writes behind its arguments":                 {"TestSuite/Ownership", func(s mld.Store) mld.Store { return scribbler{s} }},
	"seek keeps its argument":                         {"TestSuite/Ownership", iterators(func(it mld.Iterator, _ *mld.IterOptions) mld.Iterator { return &lazySeek{Iterator: it} })},
	"sync is refused":                                 {"TestSuite/Durability", func(s mld.Store) mld.Store { return noSync{s} }},
	"batch backwards":                                 {"TestSuite/Batch", func(s mld.Store) mld.Store { return backwardsBatch{s} }},
	"unknown operations are ignored":                  {"TestSuite/Batch", func(s mld.Store) mld.Store { return lenientBatch{s} }},
	"removal of a range goes last":                    {"TestSuite/DeleteRange", func(s mld.Store) mld.Store { return lateRanges{s} }},
	"removal of a range spares the puts of its batch": {"TestSuite/DeleteRange", func(s mld.Store) mld.Store { return earlyRanges{s} }},
	"removal of a range has an end": {"TestSuite/DeleteRange", ranges(func(op *mld.Op) {
		if op.Value == nil {
			op.Value = []byte("\xff\xff")
		}
	})},
	"removal of a range includes its end": {"TestSuite/DeleteRange", ranges(func(op *mld.Op) {
		if op.Value != nil {
			op.Value = append(bytes.Clone(op.Value), 0)
		}
	})},
	"removal of a range excludes its start":          {"TestSuite/DeleteRange", ranges(func(op *mld.Op) { op.Key = append(bytes.Clone(op.Key), 0) })},
	"removal of a range takes an empty end for none": {"TestSuite/DeleteRange", ranges(func(op *mld.Op) { dropIf(len(op.Value) == 0, &op.Value) })},
	"removal of a range is a write of its own":       {"TestSuite/DeleteRangeAtomicity", func(s mld.Store) mld.Store { return separateRanges{s} }},
	"ranges despite NoRangeDeletes":                  {"TestSuiteOfLimitedStore/DeleteRange", func(s mld.Store) mld.Store { return s }},
	"clear from the wrong end":                       {"TestSuite/Clear", func(s mld.Store) mld.Store { return wrongEndClear{s} }},
	"clear takes empty bounds for none":              {"TestSuite/Clear", func(s mld.Store) mld.Store { return emptyBoundClear{s} }},
	"next after the end starts anew":                 {"TestSuite/Iterate", iterators(func(it mld.Iterator, _ *mld.IterOptions) mld.Iterator { return cyclic{it} })},
	"gte goes before gt":                             {"TestSuite/IterateBounds", options(func(o *mld.IterOptions) { dropIf(o.GTE != nil, &o.GT) })},
	"lte goes before lt":                             {"TestSuite/RandomRanges", options(func(o *mld.IterOptions) { dropIf(o.LTE != nil, &o.LT) })},
	"empty lt is none":                               {"TestSuite/IterateBounds", options(func(o *mld.IterOptions) { dropIf(len(o.LT) == 0, &o.LT) })},
	"limits are 32 bits":                             {"TestSuite/IterateBounds", options(func(o *mld.IterOptions) { o.Limit = min(o.Limit, max(int(uint32(o.Limit)), 1)) })},
	"keys only with values":                          {"TestSuite/IterateKeysOrValues", options(func(o *mld.IterOptions) { o.KeysOnly = false })},
	"seek clamps":                                    {"TestSuite/IterateSeek", iterators(func(it mld.Iterator, o *mld.IterOptions) mld.Iterator { return clampingSeek{it, o} })},
	"invalid options pass":                           {"TestSuite/IterateInvalid", options(func(o *mld.IterOptions) { o.ValuesOnly = o.ValuesOnly && !o.KeysOnly })},
	"walk goes one too far":                          {"TestSuite/RandomRanges", iterators(func(it mld.Iterator, _ *mld.IterOptions) mld.Iterator { return longWalk{it} })},
	"cancel looks like the end":                      {"TestSuite/IterateCancel", iterators(func(it mld.Iterator, _ *mld.IterOptions) mld.Iterator { return errorless{it} })},
	"closed iterator looks ended":                    {"TestSuite/IterateClosed", iterators(func(it mld.Iterator, _ *mld.IterOptions) mld.Iterator { return errorless{it} })},
	"iterator opens late":                            {"TestSuite/IterateState", func(s mld.Store) mld.Store { return lateIterators{s} }},
	"reverse is ignored":                             {"TestSuite/RandomRanges", options(func(o *mld.IterOptions) { o.Reverse = false })},
	"overwriting is refused":                         {"TestSuite/RandomHistory", func(s mld.Store) mld.Store { return writeOnce{s} }},
	"snapshots move":                                 {"TestSuite/Snapshots", func(s mld.Store) mld.Store { return liveSnapshots{s} }},
	"pinned values move":                             {"TestSuite/Pinned", func(s mld.Store) mld.Store { return &movingPin{Store: s} }},
	"together leaves out what is missing":            {"TestSuite/Together", func(s mld.Store) mld.Store { return foundTogether{s} }},
	"deferred batches come later":                    {"TestSuite/Deferred", func(s mld.Store) mld.Store { return lazyDeferred{s} }},
	"each sees later writes":                         {"TestSuite/Each", func(s mld.Store) mld.Store { return liveEach{s} }},
	"batch in pieces":                                {"TestSuite/Atomicity", func(s mld.Store) mld.Store { return piecemeal{s} }},
	"writes are lost":                                {"TestSuite/Concurrency", func(s mld.Store) mld.Store { return forgetful{s} }},
	"contexts are ignored":                           {"TestSuite/EndedContext", func(s mld.Store) mld.Store { return deafPut{s} }},
	"close does nothing":                             {"TestSuite/Close", func(s mld.Store) mld.Store { return closeless{s} }},
	"close says not found":                           {"TestSuite/CloseInUse", func(s mld.Store) mld.Store { return vanishing{s} }},
	"reopening loses":                                {"TestSuite/Reopen", whenReopened(func(it mld.Iterator, _ *mld.IterOptions) mld.Iterator { return &hiding{Iterator: it} })},
	"read-only takes a clear":                        {"TestSuite/ReadOnly", func(s mld.Store) mld.Store { return lenientClear{s} }},
	"snapshots despite NoSnapshots":                  {"TestSuiteOfLimitedStore/Snapshots", func(s mld.Store) mld.Store { return s }},
	"empty keys despite NoEmptyKeys":                 {"TestSuiteOfLimitedStore/EmptyKeysAndValues", func(s mld.Store) mld.Store { return s }},
}

func dropIf(drop bool, bound *[]byte) {
	if drop {
		*bound = nil
	}
}

// options returns a mutation that alters the options of iterators.
func options(alter func(*mld.IterOptions)) func(mld.Store) mld.Store {
	return func(s mld.Store) mld.Store { return alteredOptions{s, alter} }
}

type alteredOptions struct {
	mld.Store
	alter func(*mld.IterOptions)
}

func (s alteredOptions) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	altered := mld.IterOptions{}
	if o != nil {
		altered = *o
	}
	s.alter(&altered)
	return s.Store.NewIterator(ctx, &altered)
}

// iterators returns a mutation that wraps iterators.
func iterators(wrap func(mld.Iterator, *mld.IterOptions) mld.Iterator) func(mld.Store) mld.Store {
	return func(s mld.Store) mld.Store { return wrappedIterators{s, wrap} }
}

type wrappedIterators struct {
	mld.Store
	wrap func(mld.Iterator, *mld.IterOptions) mld.Iterator
}

func (s wrappedIterators) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	it, err := s.Store.NewIterator(ctx, o)
	if err != nil {
		return nil, err
	}
	return s.wrap(it, o), nil
}

// whenReopened is iterators, but leaves the first store as it is.
func whenReopened(wrap func(mld.Iterator, *mld.IterOptions) mld.Iterator) func(mld.Store) mld.Store {
	reopened := false
	return func(s mld.Store) mld.Store {
		if !reopened {
			reopened = true
			return s
		}
		return wrappedIterators{s, wrap}
	}
}

type strictDelete struct{ mld.Store }

func (s strictDelete) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	if _, err := s.Get(ctx, key); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key, o)
}

type emptyIsNil struct{ mld.Store }

func (s emptyIsNil) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values, err := s.Store.GetMany(ctx, keys)
	for i, v := range values {
		if len(v) == 0 {
			values[i] = nil
		}
	}
	return values, err
}

type textKeys struct{ mld.Store }

func (s textKeys) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	var text mld.Batch
	for _, op := range b.Ops() {
		text.Append(mld.Op{Kind: op.Kind, Key: bytes.ToValidUTF8(op.Key, []byte("?")), Value: op.Value})
	}
	return s.Store.Apply(ctx, &text, o)
}

type cutValues struct{ mld.Store }

func (s cutValues) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	return s.Store.Put(ctx, key, value[:min(len(value), 1<<16-1)], o)
}

type noDuplicates struct{ mld.Store }

func (s noDuplicates) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, bytes.Compare)
	return s.Store.GetMany(ctx, slices.CompactFunc(keys, bytes.Equal))
}

type lendingGet struct{ mld.Store }

func (s lendingGet) Get(ctx context.Context, key []byte) ([]byte, error) {
	value, _, err := mld.GetPinned(ctx, s.Store, key)
	return value, err
}

type lazyPut struct {
	mld.Store
	key, value []byte
}

func (s *lazyPut) Put(_ context.Context, key, value []byte, _ *mld.WriteOptions) error {
	s.key, s.value = key, value
	return nil
}

func (s *lazyPut) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := s.Store.Put(ctx, s.key, s.value, nil); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, key)
}

type scribbler struct{ mld.Store }

func (s scribbler) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	_ = append(key, 0)
	return s.Store.Put(ctx, key, value, o)
}

type lazySeek struct {
	mld.Iterator
	target []byte
}

func (it *lazySeek) Seek(target []byte) { it.target = target }

func (it *lazySeek) Next() bool {
	if it.target != nil {
		it.Iterator.Seek(it.target)
		it.target = nil
	}
	return it.Iterator.Next()
}

type noSync struct{ mld.Store }

func (s noSync) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	if o.Durable(mld.DurabilityNoSync) == mld.DurabilitySync {
		return &mld.Error{Code: mld.CodeUnsupported}
	}
	return s.Store.Delete(ctx, key, o)
}

type backwardsBatch struct{ mld.Store }

func (s backwardsBatch) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	var backwards mld.Batch
	for _, op := range slices.Backward(b.Ops()) {
		backwards.Append(op)
	}
	return s.Store.Apply(ctx, &backwards, o)
}

type longWalk struct{ mld.Iterator }

func (it longWalk) Walk(f func(key, value []byte) bool) bool {
	ended := mld.Walk(it.Iterator, f)
	if ended {
		it.Next()
	}
	return ended
}

// ranges returns a mutation that alters the removals of ranges.
func ranges(alter func(*mld.Op)) func(mld.Store) mld.Store {
	return func(s mld.Store) mld.Store { return alteredRanges{s, alter} }
}

type alteredRanges struct {
	mld.Store
	alter func(*mld.Op)
}

func (s alteredRanges) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	var altered mld.Batch
	for _, op := range b.Ops() {
		if op.Kind == mld.OpDeleteRange {
			s.alter(&op)
		}
		altered.Append(op)
	}
	return s.Store.Apply(ctx, &altered, o)
}

// split returns the removals of ranges of a batch, and the other operations.
func split(b *mld.Batch) (ranges, others []mld.Op) {
	for _, op := range b.Ops() {
		if op.Kind == mld.OpDeleteRange {
			ranges = append(ranges, op)
		} else {
			others = append(others, op)
		}
	}
	return ranges, others
}

type lateRanges struct{ mld.Store }

func (s lateRanges) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	ranges, others := split(b)
	var late mld.Batch
	late.Append(others...)
	late.Append(ranges...)
	return s.Store.Apply(ctx, &late, o)
}

type earlyRanges struct{ mld.Store }

func (s earlyRanges) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	ranges, others := split(b)
	var early mld.Batch
	early.Append(ranges...)
	early.Append(others...)
	return s.Store.Apply(ctx, &early, o)
}

type separateRanges struct{ mld.Store }

func (s separateRanges) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	for _, op := range b.Ops() {
		var one mld.Batch
		one.Append(op)
		if err := s.Store.Apply(ctx, &one, o); err != nil {
			return err
		}
		runtime.Gosched()
	}
	return nil
}

type lenientBatch struct{ mld.Store }

func (s lenientBatch) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	var known mld.Batch
	for _, op := range b.Ops() {
		if op.Kind <= mld.OpDeleteRange && op.Kind > 0 {
			known.Append(op)
		}
	}
	return s.Store.Apply(ctx, &known, o)
}

type wrongEndClear struct{ mld.Store }

func (s wrongEndClear) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	r.Reverse = false
	return s.Store.Clear(ctx, r, o)
}

type emptyBoundClear struct{ mld.Store }

func (s emptyBoundClear) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	dropIf(len(r.LT) == 0, &r.LT)
	return s.Store.Clear(ctx, r, o)
}

type cyclic struct{ mld.Iterator }

func (it cyclic) Next() bool {
	if it.Iterator.Next() {
		return true
	}
	it.Iterator.Seek(nil)
	return false
}

type clampingSeek struct {
	mld.Iterator
	o *mld.IterOptions
}

func (it clampingSeek) Seek(target []byte) {
	if lower, _ := it.o.HalfOpen(); !it.o.Reverse && bytes.Compare(target, lower) < 0 {
		target = lower
	}
	it.Iterator.Seek(target)
}

type errorless struct{ mld.Iterator }

func (errorless) Err() error { return nil }

type lateIterators struct{ mld.Store }

func (s lateIterators) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	return &lateIterator{open: func() (mld.Iterator, error) { return s.Store.NewIterator(ctx, o) }}, nil
}

type lateIterator struct {
	mld.Iterator
	open func() (mld.Iterator, error)
}

func (it *lateIterator) ready() mld.Iterator {
	if it.Iterator == nil {
		it.Iterator, _ = it.open()
	}
	return it.Iterator
}

func (it *lateIterator) Next() bool         { return it.ready().Next() }
func (it *lateIterator) Seek(target []byte) { it.ready().Seek(target) }
func (it *lateIterator) Err() error         { return it.ready().Err() }
func (it *lateIterator) Close() error       { return it.ready().Close() }

type writeOnce struct{ mld.Store }

func (s writeOnce) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if _, err := s.Get(ctx, key); err == nil {
		return nil
	}
	return s.Store.Put(ctx, key, value, o)
}

type liveSnapshots struct{ mld.Store }

func (s liveSnapshots) NewSnapshot(context.Context) (mld.Snapshot, error) {
	return liveSnapshot{s.Store}, nil
}

type liveSnapshot struct{ mld.Reader }

func (liveSnapshot) Close() error { return nil }

type movingPin struct {
	mld.Store
	lent []byte
}

func (s *movingPin) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	value, err := s.Get(ctx, key)
	s.lent = value
	return value, nil, err
}

func (s *movingPin) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	copy(s.lent, value)
	return s.Store.Put(ctx, key, value, o)
}

type liveEach struct{ mld.Store }

func (s liveEach) GetEach(ctx context.Context, keys [][]byte, f func(int, []byte) error) error {
	for i, key := range keys {
		value, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, mld.ErrNotFound) {
			return err
		}
		if err := f(i, value); err != nil {
			return err
		}
	}
	return nil
}

type piecemeal struct{ mld.Store }

func (s piecemeal) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	for _, op := range b.Ops() {
		if err := s.Put(ctx, op.Key, op.Value, o); err != nil {
			return err
		}
		runtime.Gosched()
	}
	return nil
}

type forgetful struct{ mld.Store }

func (s forgetful) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if len(value) == 7 {
		return nil
	}
	return s.Store.Put(ctx, key, value, o)
}

type deafPut struct{ mld.Store }

func (s deafPut) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	return s.Store.Put(context.WithoutCancel(ctx), key, value, o)
}

type closeless struct{ mld.Store }

func (closeless) Close() error { return nil }

type vanishing struct{ mld.Store }

func (s vanishing) Get(ctx context.Context, key []byte) ([]byte, error) {
	value, err := s.Store.Get(ctx, key)
	if err != nil {
		err = mld.ErrNotFound
	}
	return value, err
}

type hiding struct {
	mld.Iterator
	hid bool
}

// Next hides the first entry, as a store does whose log lost a record.
func (it *hiding) Next() bool {
	if !it.hid {
		it.hid = true
		it.Iterator.Next()
	}
	return it.Iterator.Next()
}

type lenientClear struct{ mld.Store }

func (lenientClear) Clear(context.Context, mld.Range, *mld.WriteOptions) error { return nil }

// lazyDeferred leaves what is deferred to a Harden that does not come.
type lazyDeferred struct{ mld.Store }

func (lazyDeferred) ApplyDeferred(context.Context, *mld.Batch, *mld.WriteOptions) error { return nil }

func (lazyDeferred) Harden(context.Context, *mld.WriteOptions) error { return nil }

type foundTogether struct{ mld.Store }

func (s foundTogether) GetTogether(ctx context.Context, keys [][]byte, f func(int, []byte, error) error) error {
	return mld.GetTogether(ctx, s.Store, keys, func(i int, value []byte, err error) error {
		if errors.Is(err, mld.ErrNotFound) {
			return nil
		}
		return f(i, value, err)
	})
}
