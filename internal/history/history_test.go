package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
)

// op makes an operation from a line such as "3 7 put a=1 b=2 ?": from 3 to 7,
// with the unknown outcome. A missing value is an absent one.
func op(t *testing.T, line string) Op {
	t.Helper()
	words := strings.Fields(line)
	var o Op
	if _, err := fmt.Sscan(words[0]+" "+words[1], &o.Call, &o.Return); err != nil {
		t.Fatal(err)
	}
	for _, w := range words[3:] {
		key, text, has := strings.Cut(w, "=")
		var value []byte
		if has {
			value = []byte(text)
		}
		switch {
		case w == "?":
			o.Outcome = mld.Unknown
		case w == "!":
			o.Outcome = mld.NotApplied
		case w == "reverse":
			o.Range.Reverse = true
		case key == "limit":
			fmt.Sscan(text, &o.Range.Limit)
		case key == "gte":
			o.Range.GTE = value
		case key == "lt":
			o.Range.LT = value
		case words[2] == "get":
			o.Keys, o.Values = append(o.Keys, []byte(key)), append(o.Values, value)
		case words[2] == "scan":
			o.Entries = append(o.Entries, mld.Entry{Key: []byte(key), Value: value})
		case has:
			o.Changes = append(o.Changes, mld.Op{Kind: mld.OpPut, Key: []byte(key), Value: value})
		default:
			o.Changes = append(o.Changes, mld.Op{Kind: mld.OpDelete, Key: []byte(key)})
		}
	}
	o.Kind = map[string]Kind{"get": Get, "scan": Scan, "clear": Clear, "write": Write}[words[2]]
	return o
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name    string
		history string
		ok      bool
	}{
		{"a write is read", "1 2 write a=1; 3 4 get a=1", true},
		{"a write is lost", "1 2 write a=1; 3 4 get a", false},
		{"a read while it is written", "1 9 write a=1; 2 3 get a; 4 5 get a=1", true},
		{"a value goes back", "1 9 write a=1; 2 3 get a=1; 4 5 get a", false},
		{"an old value", "1 2 write a=1; 3 4 write a=2; 5 6 get a=1", false},
		{"a late duplicate overwrites what is newer", "1 8 write a=1; 2 3 get a=1; 4 5 write a=2; 6 7 get a=2; 9 10 get a=1", false},
		{"a value that nobody wrote", "1 2 write a=1; 3 4 get a=2", false},
		{"an empty value is one", "1 2 write a=; 3 4 get a=", true},
		{"an empty value is not absent", "1 2 write a=; 3 4 get a", false},
		{"a delete", "1 2 write a=1; 3 4 write a; 5 6 get a", true},
		{"a delete is lost", "1 2 write a=1; 3 4 write a; 5 6 get a=1", false},

		{"a batch", "1 2 write a=1 b=1; 3 4 get a=1 b=1", true},
		{"a batch is torn", "1 9 write a=1 b=1; 2 3 get a=1 b; 4 5 get a=1 b=1", false},
		{"a batch in order", "1 2 write a=1 a=2 b=1 b; 3 4 get a=2 b", true},
		{"two reads are not one", "1 9 write a=1 b=1; 2 3 get a; 4 5 get b=1", true},
		{"reads of a batch in the wrong order", "1 9 write a=1 b=1; 2 3 get b=1; 4 5 get a", false},

		{"a scan", "1 2 write a=1 b=2; 3 4 scan a=1 b=2", true},
		{"a scan misses an entry", "1 2 write a=1 b=2; 3 4 scan a=1", false},
		{"a scan of a state that never was", "1 2 write a=1 b=1; 3 4 write a=2; 5 6 write b=2; 3 9 scan a=1 b=2", false},
		{"a scan of a state in between", "1 2 write a=1 b=1; 3 4 write a=2; 5 6 write b=2; 3 9 scan a=2 b=1", true},
		{"a scan backwards", "1 2 write a=1 b=2 c=3; 3 4 scan reverse limit=2 c=3 b=2", true},
		{"a scan in the wrong order", "1 2 write a=1 b=2; 3 4 scan b=2 a=1", false},
		{"a scan of a range", "1 2 write a=1 b=2 c=3; 3 4 scan gte=b lt=c b=2", true},
		{"a scan beyond its range", "1 2 write a=1 b=2 c=3; 3 4 scan gte=b lt=c b=2 c=3", false},
		{"a scan beyond its limit", "1 2 write a=1 b=2; 3 4 scan limit=1 a=1 b=2", false},
		{"an entry twice", "1 2 write a=1 b=2; 3 4 scan a=1 a=1 b=2", false},

		{"a clear", "1 2 write a=1 b=2; 3 4 clear; 5 6 scan", true},
		{"a clear leaves something", "1 2 write a=1 b=2; 3 4 clear; 5 6 scan b=2", false},
		{"a clear with a limit", "1 2 write a=1 b=2 c=3; 3 4 clear limit=1; 5 6 scan b=2 c=3", true},
		{"a clear with a limit is done twice", "1 2 write a=1 b=2 c=3; 3 4 clear limit=1; 5 6 scan c=3", false},
		{"a clear backwards", "1 2 write a=1 b=2 c=3; 3 4 clear reverse limit=1; 5 6 scan a=1 b=2", true},
		{"a clear of a range", "1 2 write a=1 b=2 c=3; 3 4 clear gte=b lt=c; 5 6 scan a=1 c=3", true},

		{"an unknown write is seen", "1 2 write a=1 ?; 3 4 get a; 5 6 get a=1", true},
		{"an unknown write is never seen", "1 2 write a=1 ?; 3 4 get a", true},
		{"an unknown write before its call", "1 2 get a=1; 3 4 write a=1 ?", false},
		{"an unknown write is done twice", "1 2 write a=1 ?; 3 4 get a=1; 5 6 write a=2; 7 8 get a=1", false},
		{"an unknown clear", "1 2 write a=1 b=2; 3 4 clear limit=1 ?; 5 6 scan a=1 b=2; 7 8 scan b=2", true},
		{"a refused write is seen", "1 2 write a=1 !; 3 4 get a=1", false},
		{"a refused write is not seen", "1 2 write a=1 !; 3 4 get a", true},

		{"keys that have nothing to do with each other", "1 2 write a=1; 1 2 write b=1; 3 4 get b; 5 6 get a=1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ops []Op
			for i, line := range strings.Split(c.history, ";") {
				o := op(t, line)
				o.Client = i
				ops = append(ops, o)
			}
			err := Check(ops, time.Minute)
			var v *Violation
			if c.ok && err != nil || !c.ok && !errors.As(err, &v) {
				t.Fatalf("Check = %v", err)
			}
			if v != nil {
				if err := v.Visualize(filepath.Join(t.TempDir(), "history.html")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	var ops []Op
	for i := range 200 { // all at a time, and a read that none explains
		ops = append(ops, op(t, fmt.Sprintf("1 9 write a=%d", i)))
	}
	ops = append(ops, op(t, "10 11 get a"))
	if err := Check(ops, 10*time.Millisecond); !errors.Is(err, ErrTimeout) {
		t.Fatalf("Check = %v", err)
	}
}

// TestRecord checks that what a right store does is recorded as right, and what
// a wrong one does is found.
func TestRecord(t *testing.T) {
	run := func(store mld.Store, seed uint64) error {
		var log Log
		var wg sync.WaitGroup
		for id := range 4 {
			c := log.Client(id, store)
			rnd := rand.New(rand.NewPCG(seed, uint64(id)))
			wg.Go(func() {
				ctx := context.Background()
				for i := range 50 {
					a, b := []byte{'a' + byte(rnd.IntN(4))}, []byte{'a' + byte(rnd.IntN(4))}
					v := fmt.Appendf(nil, "%d-%d", id, i)
					switch rnd.IntN(8) {
					case 0:
						c.Get(ctx, a)
					case 1:
						c.Get(ctx, a, b)
					case 2:
						c.Scan(ctx, mld.Range{GTE: a, Limit: 2, Reverse: i%2 == 0})
					case 3:
						c.Put(ctx, a, v, nil)
					case 4:
						c.Delete(ctx, a, nil)
					case 5:
						var batch mld.Batch
						batch.Put(a, v)
						batch.Put(b, v)
						c.Apply(ctx, &batch, nil)
					case 6:
						c.ScanSnapshot(ctx, mld.Range{LTE: b})
					case 7:
						c.Clear(ctx, mld.Range{GTE: a, Limit: 1}, nil)
					}
				}
			})
		}
		wg.Wait()
		return Check(log.Ops(), time.Minute)
	}
	if err := run(memstore.New(), 1); err != nil {
		t.Error(err)
	}
	for name, open := range map[string]func() mld.Store{
		"forgets deletes": func() mld.Store { return forgetful{memstore.New()} },
		"splits batches":  func() mld.Store { return splitting{memstore.New()} },
	} {
		var v *Violation
		var err error
		for seed := uint64(1); !errors.As(err, &v); seed++ {
			if err != nil || seed > 300 {
				t.Errorf("a store that %s: %v", name, err)
				break
			}
			err = run(open(), seed)
		}
	}
}

type forgetful struct{ mld.Store }

func (forgetful) Delete(context.Context, []byte, *mld.WriteOptions) error { return nil }

type splitting struct{ mld.Store }

func (s splitting) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
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
