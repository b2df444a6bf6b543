package storetest_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/storetest"
)

// mutantFlag is how TestMutants tells its children which fault to have.
var mutantFlag = flag.String("mutant", "", "the mutant of a store that TestSuite tests")

// TestSuite passes unless -mutant names a fault.
func TestSuite(t *testing.T) {
	wrap := func(s mld.Store) mld.Store { return s }
	if *mutantFlag != "" {
		wrap = mutants[*mutantFlag].wrap
	}
	o := &storetest.Options{
		Reopen: func(t *testing.T, s mld.Store) mld.Store {
			next := memstore.New()
			copyStore(t, next, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return wrap(next)
		},
		ReadOnly: func(t *testing.T, entries []mld.Entry) mld.Store {
			s := memstore.New()
			for _, e := range entries {
				if err := s.Put(t.Context(), e.Key, e.Value, nil); err != nil {
					t.Fatal(err)
				}
			}
			return wrap(readOnly{s})
		},
	}
	storetest.Run(t, func(t *testing.T) mld.Store { return wrap(memstore.New()) }, o)
}

// TestSuiteOfLimitedStore runs the suite over a store that cannot do what the
// options can excuse, unless -mutant says that it can.
func TestSuiteOfLimitedStore(t *testing.T) {
	wrap := func(s mld.Store) mld.Store { return limited{s} }
	if *mutantFlag != "" {
		wrap = mutants[*mutantFlag].wrap
	}
	o := &storetest.Options{NoSnapshots: true, NoEmptyKeys: true, NoRangeDeletes: true, SeekTakesNewSnapshot: true}
	storetest.Run(t, func(t *testing.T) mld.Store { return wrap(memstore.New()) }, o)
}

// TestMutants runs a case of the suite over each store that breaks a promise, in
// a process of its own, and looks that the case fails.
func TestMutants(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test, subtest, _ := strings.Cut(m.dies, "/")
			run := fmt.Sprintf("-test.run=^%s$/^%s$", test, subtest)
			out, err := exec.Command(exe, run, "-mutant="+name).CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: "+m.dies)) {
				t.Errorf("%s does not notice: %v\n%s", m.dies, err, out)
			}
		})
	}
}

func copyStore(t *testing.T, to mld.Writer, from mld.Reader) {
	t.Helper()
	for e, err := range mld.All(t.Context(), from, nil) {
		if err == nil {
			err = to.Put(t.Context(), e.Key, e.Value, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readOnly refuses every write.
type readOnly struct{ mld.Store }

var errReadOnly = &mld.Error{Code: mld.CodeReadOnly, Op: "write"}

func (readOnly) Put(context.Context, []byte, []byte, *mld.WriteOptions) error { return errReadOnly }
func (readOnly) Delete(context.Context, []byte, *mld.WriteOptions) error      { return errReadOnly }
func (readOnly) Apply(context.Context, *mld.Batch, *mld.WriteOptions) error   { return errReadOnly }
func (readOnly) Clear(context.Context, mld.Range, *mld.WriteOptions) error    { return errReadOnly }

// limited takes no empty key, no snapshot and no range in a batch, and its iterators
// start anew at a seek.
type limited struct{ mld.Store }

func (limited) NewSnapshot(context.Context) (mld.Snapshot, error) {
	return nil, &mld.Error{Code: mld.CodeUnsupported, Op: "snapshot"}
}

func refuseEmpty(key []byte) error {
	if len(key) == 0 {
		return &mld.Error{Code: mld.CodeInvalidArgument, Msg: "the key is empty"}
	}
	return nil
}

func (s limited) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := refuseEmpty(key); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, key)
}

func (s limited) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	if err := refuseEmpty(key); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, value, o)
}

func (s limited) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	if err := refuseEmpty(key); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key, o)
}

func (s limited) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	for _, op := range b.Ops() {
		if op.Kind == mld.OpDeleteRange {
			return &mld.Error{Code: mld.CodeUnsupported, Op: "batch"}
		}
		if err := refuseEmpty(op.Key); err != nil {
			return err
		}
	}
	return s.Store.Apply(ctx, b, o)
}

func (s limited) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	it, err := s.Store.NewIterator(ctx, o)
	if err != nil {
		return nil, err
	}
	options := mld.IterOptions{}
	if o != nil {
		options = *o
		options.Range = o.Range.Clone()
	}
	return &reopening{Iterator: it, ctx: ctx, s: s.Store, o: options}, nil
}

// reopening is an iterator that is opened again by a seek.
type reopening struct {
	mld.Iterator
	ctx    context.Context
	s      mld.Store
	o      mld.IterOptions
	taken  int
	closed bool
}

func (it *reopening) Next() bool {
	if it.o.Limit > 0 && it.taken == it.o.Limit || !it.Iterator.Next() {
		return false
	}
	it.taken++
	return true
}

func (it *reopening) Seek(target []byte) {
	if it.closed {
		return
	}
	if fresh, err := it.s.NewIterator(it.ctx, &it.o); err == nil {
		it.Iterator.Close()
		it.Iterator = fresh
	}
	it.Iterator.Seek(target)
}

func (it *reopening) Close() error {
	it.closed = true
	return it.Iterator.Close()
}
