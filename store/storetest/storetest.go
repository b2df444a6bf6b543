// Package storetest is the conformance suite of [mld.Store]. It tests what the
// documentation of the root package promises, through nothing but that
// interface, so it fits engines, decorators and clients of remote stores alike:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) mld.Store { return memstore.New() }, nil)
//	}
//
// The random cases print the seed they ran with; -storetest.seed repeats one.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/multileveldown/mld"
)

var seedFlag = flag.Uint64("storetest.seed", 0, "seed of the random cases of storetest; 0 takes a new one")

// caseTimeout ends a case that hangs. It is far above what a case takes over a
// slow link.
const caseTimeout = 2 * time.Minute

// Options say what a store cannot do, so that the suite asks for the documented
// refusal instead, and how to make the stores that some cases need. Nil is the
// zero value: a store that can do everything.
type Options struct {
	// NoSnapshots is for a store that has no way to hold on to a state, such as
	// a client of a Node host, whose protocol has iterators only. NewSnapshot
	// must return mld.ErrUnsupported.
	NoSnapshots bool

	// NoEmptyKeys is for a store that cannot keep a value under the empty key,
	// such as a client of a multileveldown host, which refuses it. Reads and
	// writes of it must fail, and must not say that it is not found.
	NoEmptyKeys bool

	// NoRangeDeletes is for a store that cannot remove a range as a part of a
	// batch, such as a client. Apply of such a batch must return
	// mld.ErrUnsupported and have no effect.
	NoRangeDeletes bool

	// SeekTakesNewSnapshot is for a store whose iterators are opened anew by a
	// seek, such as a client of a multileveldown host, whose protocol has no
	// seek. An iterator may then show the state at its seek.
	SeekTakesNewSnapshot bool

	// Reopen closes a store that open returned and opens it again with the data
	// that it had. It fails the test if it cannot. Nil is for a store that
	// keeps nothing.
	Reopen func(t *testing.T, s mld.Store) mld.Store

	// ReadOnly returns a store that holds the given entries and takes no
	// writes. Nil is for a store that has no such mode.
	ReadOnly func(t *testing.T, entries []mld.Entry) mld.Store
}

// Run runs the suite as subtests of t, one after the other. Each calls open once
// and closes the store that it returns, which must be empty and independent of
// every other. What a case finds not to apply, it logs.
func Run(t *testing.T, open func(t *testing.T) mld.Store, o *Options) {
	if o == nil {
		o = &Options{}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			c.run(newTester(t, s, o))
		})
	}
	t.Run("Reopen", func(t *testing.T) {
		if o.Reopen == nil {
			t.Log("does not apply: Options.Reopen is nil")
			return
		}
		testReopen(t, open, o)
	})
	t.Run("ReadOnly", func(t *testing.T) {
		if o.ReadOnly == nil {
			t.Log("does not apply: Options.ReadOnly is nil")
			return
		}
		testReadOnly(t, o)
	})
}

var cases = []struct {
	name string
	run  func(*tester)
}{
	{"GetPutDelete", testGetPutDelete},
	{"EmptyKeysAndValues", testEmpty},
	{"BinaryKeys", testBinaryKeys},
	{"BigValues", testBigValues},
	{"GetMany", testGetMany},
	{"Ownership", testOwnership},
	{"Durability", testDurability},
	{"Batch", testBatch},
	{"DeleteRange", testDeleteRange},
	{"Clear", testClear},
	{"Iterate", testIterate},
	{"IterateBounds", testIterateBounds},
	{"IterateKeysOrValues", testIterateKeysOrValues},
	{"IterateSeek", testIterateSeek},
	{"IterateState", testIterateState},
	{"IterateInvalid", testIterateInvalid},
	{"IterateCancel", testIterateCancel},
	{"IterateClosed", testIterateClosed},
	{"AllAndCollect", testAllAndCollect},
	{"RandomRanges", testRandomRanges},
	{"RandomHistory", testRandomHistory},
	{"Snapshots", testSnapshots},
	{"Pinned", testPinned},
	{"Each", testEach},
	{"Together", testTogether},
	{"Deferred", testDeferred},
	{"Stats", testStats},
	{"Atomicity", testAtomicity},
	{"DeleteRangeAtomicity", testDeleteRangeAtomicity},
	{"Concurrency", testConcurrency},
	{"EndedContext", testEndedContext},
	{"Close", testClose},
	{"CloseInUse", testCloseInUse},
}

// tester is what a case has: the store under test, and the calls that must
// succeed.
type tester struct {
	*testing.T
	ctx context.Context
	s   mld.Store
	o   *Options
}

func newTester(t *testing.T, s mld.Store, o *Options) *tester {
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	t.Cleanup(cancel)
	return &tester{t, ctx, s, o}
}

// rand returns the source of a random case, and says how to run it again.
func (t *tester) rand() *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -storetest.seed=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func (t *tester) put(key, value string) {
	t.Helper()
	if err := t.s.Put(t.ctx, []byte(key), []byte(value), nil); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

func (t *tester) putAll(entries ...string) {
	t.Helper()
	var b mld.Batch
	for _, e := range entries {
		b.Put([]byte(e), []byte("value of "+e))
	}
	t.apply(&b)
}

func (t *tester) delete(key string) {
	t.Helper()
	if err := t.s.Delete(t.ctx, []byte(key), nil); err != nil {
		t.Fatalf("Delete(%q): %v", key, err)
	}
}

func (t *tester) apply(b *mld.Batch) {
	t.Helper()
	if err := t.s.Apply(t.ctx, b, nil); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

func (t *tester) clear(r mld.Range) {
	t.Helper()
	if err := t.s.Clear(t.ctx, r, nil); err != nil {
		t.Fatalf("Clear(%s): %v", show(&mld.IterOptions{Range: r}), err)
	}
}

// want fails unless r has value under key.
func (t *tester) want(r mld.Reader, key, value string) {
	t.Helper()
	got, err := r.Get(t.ctx, []byte(key))
	if err != nil || string(got) != value {
		t.Fatalf("Get(%q) = %q, %v; want %q", key, got, err, value)
	}
}

// wantMissing fails unless r has nothing under key.
func (t *tester) wantMissing(r mld.Reader, key string) {
	t.Helper()
	got, err := r.Get(t.ctx, []byte(key))
	t.wantErr(fmt.Sprintf("Get(%q) = %q", key, got), err, mld.ErrNotFound)
}

func (t *tester) wantErr(what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v; want %v", what, err, want)
	}
}

// wantKeys fails unless r has exactly these keys.
func (t *tester) wantKeys(r mld.Reader, o *mld.IterOptions, keys ...string) {
	t.Helper()
	got := []string{}
	for _, e := range t.collect(r, o) {
		got = append(got, string(e.Key))
	}
	if !slices.Equal(got, keys) {
		t.Fatalf("keys of %s = %q; want %q", show(o), got, keys)
	}
}

func (t *tester) collect(r mld.Reader, o *mld.IterOptions) []mld.Entry {
	t.Helper()
	entries, err := mld.Collect(t.ctx, r, o)
	if err != nil {
		t.Fatalf("Collect(%s): %v", show(o), err)
	}
	return entries
}

func (t *tester) iterator(r mld.Reader, o *mld.IterOptions) mld.Iterator {
	t.Helper()
	it, err := r.NewIterator(t.ctx, o)
	if err != nil {
		t.Fatalf("NewIterator(%s): %v", show(o), err)
	}
	return it
}

// rest returns the keys that are left in it.
func (t *tester) rest(it mld.Iterator) []string {
	t.Helper()
	keys := []string{}
	for it.Next() {
		keys = append(keys, string(it.Key()))
	}
	if err := it.Err(); err != nil {
		t.Fatalf("Err: %v", err)
	}
	return keys
}

func (t *tester) closeIterator(it mld.Iterator) {
	t.Helper()
	if err := it.Close(); err != nil {
		t.Fatalf("Iterator.Close: %v", err)
	}
}

// snapshot returns a snapshot, or nil where the store takes none and says so.
func (t *tester) snapshot() mld.Snapshot {
	t.Helper()
	snap, err := t.s.NewSnapshot(t.ctx)
	if t.o.NoSnapshots {
		t.wantErr("NewSnapshot", err, mld.ErrUnsupported)
		return nil
	}
	if err != nil {
		t.Fatalf("NewSnapshot: %v", err)
	}
	return snap
}

func equalEntries(a, b []mld.Entry) bool {
	return slices.EqualFunc(a, b, func(x, y mld.Entry) bool {
		return bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Value, y.Value)
	})
}

// show returns options in one line, leaving out what is not set.
func show(o *mld.IterOptions) string {
	if o == nil {
		return "everything"
	}
	var b bytes.Buffer
	for _, bound := range []struct {
		name string
		key  []byte
	}{{"gt", o.GT}, {"gte", o.GTE}, {"lt", o.LT}, {"lte", o.LTE}} {
		if bound.key != nil {
			fmt.Fprintf(&b, "%s=%q ", bound.name, bound.key)
		}
	}
	fmt.Fprintf(&b, "limit=%d reverse=%t", o.Limit, o.Reverse)
	if o.KeysOnly {
		b.WriteString(" keys only")
	}
	if o.ValuesOnly {
		b.WriteString(" values only")
	}
	return b.String()
}
