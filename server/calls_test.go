package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// TestOrder has every kind of read see the writes that were sent before it, with
// all of them sent together.
func TestOrder(t *testing.T) {
	p := dial(t, server.New(memstore.New(), nil))
	var frames []byte
	for i := uint32(1); i <= 500; i += 5 {
		value := fmt.Append(nil, i)
		frames = wire.AppendPut(frames, i, []byte("k"), value, 0)
		frames = wire.AppendGet(frames, i+1, []byte("k"), 0)
		frames = wire.AppendDelete(frames, i+2, []byte("k"), 0)
		frames = wire.AppendGetMany(frames, i+3, [][]byte{[]byte("k")}, 0)
		frames = wire.AppendGet(frames, i+4, []byte("k"), 0)
	}
	go p.rw.Write(frames)
	for i := uint32(1); i <= 500; i += 5 {
		p.expect(i, nil)
		if r := p.expect(i+1, nil); string(r.Value) != fmt.Sprint(i) {
			t.Fatalf("get %d: %q", i+1, r.Value)
		}
		p.expect(i+2, nil)
		if r := p.expect(i+3, nil); len(r.Values) != 1 || r.Values[0] != nil {
			t.Fatalf("get-many %d: %q", i+3, r.Values)
		}
		p.expect(i+4, mld.ErrNotFound)
	}
}

// TestCoalescing has the writes that arrive together applied together, and each
// answered alone.
func TestCoalescing(t *testing.T) {
	store := newSpy()
	srv := server.New(store, &server.Options{
		Durability: mld.DurabilityNoSync,
		BeforeWrite: func(w *server.Write) error {
			if w.Kind == server.WritePut && string(w.Ops[0].Key) == "refused" {
				return errors.New("not this one")
			}
			return nil
		},
	})
	p := dial(t, srv)
	put := func(dst []byte, id uint32, key string, d mld.Durability) []byte {
		return wire.AppendPut(dst, id, []byte(key), []byte("v"), d)
	}

	frames := put(nil, 1, "a", 0)
	frames = put(frames, 2, "refused", 0)
	frames = wire.AppendBatch(frames, 3, []mld.Op{{Kind: mld.OpPut, Key: []byte("b")}, {Kind: mld.OpDelete, Key: []byte("a")}}, 0)
	frames = wire.AppendBatch(frames, 4, nil, 0)
	frames = wire.AppendDelete(frames, 5, []byte("c"), 0)
	p.send(frames)
	errs := map[uint32]error{}
	for range 5 {
		r := p.receive()
		errs[r.ID] = r.Err
	}
	if len(errs) != 5 || !errors.Is(errs[2], mld.ErrRefused) || errs[1] != nil || errs[3] != nil || errs[4] != nil || errs[5] != nil {
		t.Errorf("answers: %v", errs)
	}
	if got := store.take(); !slices.Equal(got, []applied{{4, mld.DurabilityNoSync}}) {
		t.Errorf("applied %v, want 4 operations together", got)
	}

	// A read between, another durability, and a clear each part them.
	frames = put(nil, 1, "a", mld.DurabilitySync)
	frames = put(frames, 2, "b", mld.DurabilitySync)
	frames = put(frames, 3, "c", 0)
	frames = wire.AppendGet(frames, 4, []byte("c"), 0)
	frames = put(frames, 5, "d", mld.DurabilityNoSync)
	frames = wire.AppendClear(frames, 6, &mld.Range{}, -1, 0)
	frames = put(frames, 7, "e", 0)
	p.send(frames)
	for id := uint32(1); id <= 7; id++ {
		p.expect(id, nil)
	}
	// The clear goes around the reserved keys.
	want := []applied{{2, mld.DurabilitySync}, {1, mld.DurabilityNoSync}, {1, mld.DurabilityNoSync}, {2, mld.DurabilityNoSync}, {1, mld.DurabilityNoSync}}
	if got := store.take(); !slices.Equal(got, want) {
		t.Errorf("applied %v, want %v", got, want)
	}
}

// TestCoalescedFailures has writes that are refused together done one by one, so
// that only the ones at fault fail; and a failure after which nobody knows what
// was written told to all.
func TestCoalescedFailures(t *testing.T) {
	store := newSpy()
	srv := server.New(store, nil)
	p := dial(t, srv)
	frames := wire.AppendPut(nil, 1, []byte("a"), nil, 0)
	frames = wire.AppendPut(frames, 2, []byte("bad"), nil, 0)
	frames = wire.AppendPut(frames, 3, []byte("c"), nil, 0)
	failWith := func(err error) {
		store.mu.Lock()
		defer store.mu.Unlock()
		store.fail = func(b *mld.Batch) error {
			if slices.ContainsFunc(b.Ops(), func(op mld.Op) bool { return string(op.Key) == "bad" }) {
				return err
			}
			return nil
		}
	}
	failWith(&mld.Error{Code: mld.CodeReservedKey})
	p.send(frames)
	p.expect(1, nil)
	p.expect(2, mld.ErrReservedKey)
	p.expect(3, nil)
	if got := store.take(); len(got) != 4 {
		t.Errorf("applied %v, want all once and each once", got)
	}
	failWith(&mld.Error{Code: mld.CodeIO})
	p.send(frames)
	for id := uint32(1); id <= 3; id++ {
		p.expect(id, mld.ErrIO)
	}
	if got := store.take(); len(got) != 1 {
		t.Errorf("applied %v, want no second try", got)
	}
}

// TestAtomic has a batch whose second operation is refused leave no first one.
func TestAtomic(t *testing.T) {
	store := newSpy()
	p := dial(t, server.New(store, nil))
	store.fail = func(b *mld.Batch) error {
		if b.Len() != 2 {
			return fmt.Errorf("a batch of 2 came as one of %d", b.Len())
		}
		return &mld.Error{Code: mld.CodeReservedKey}
	}
	p.send(wire.AppendBatch(nil, 1, []mld.Op{{Kind: mld.OpPut, Key: []byte("a")}, {Kind: mld.OpPut, Key: []byte("b")}}, 0))
	p.expect(1, mld.ErrReservedKey)
	p.send(wire.AppendGet(nil, 2, []byte("a"), 0))
	p.expect(2, mld.ErrNotFound)
}

func TestHookChanges(t *testing.T) {
	store := newSpy()
	srv := server.New(store, &server.Options{BeforeWrite: func(w *server.Write) error {
		switch w.Kind {
		case server.WritePut:
			w.Ops[0].Value = append([]byte("changed "), w.Ops[0].Value...)
			w.Ops = append(w.Ops, mld.Op{Kind: mld.OpPut, Key: []byte("log"), Value: w.Ops[0].Key})
			w.Durability = mld.DurabilitySync
		case server.WriteDelete:
			w.Ops = nil
		case server.WriteClear:
			w.Range = mld.Range{GTE: []byte("b"), Limit: 1}
		}
		return nil
	}})
	p := dial(t, srv)
	p.send(wire.AppendPut(nil, 1, []byte("a"), []byte("1"), mld.DurabilityNoSync))
	p.expect(1, nil)
	if got := store.take(); !slices.Equal(got, []applied{{2, mld.DurabilitySync}}) {
		t.Errorf("applied %v", got)
	}
	frames := wire.AppendPut(nil, 2, []byte("b"), []byte("2"), 0)
	frames = wire.AppendDelete(frames, 3, []byte("a"), 0)
	frames = wire.AppendClear(frames, 4, &mld.Range{}, -1, 0)
	p.send(wire.AppendGetMany(frames, 5, [][]byte{[]byte("a"), []byte("b"), []byte("log")}, 0))
	for id := uint32(2); id <= 4; id++ {
		p.expect(id, nil)
	}
	if r := p.expect(5, nil); string(bytes.Join(r.Values, []byte(","))) != "changed 1,,b" || r.Values[1] != nil {
		t.Errorf("after the hooks: %q", r.Values)
	}
}

// TestStoreFailures has every error of the store answered, and the connection go
// on: of a get, of a get-many, by a panic.
func TestStoreFailures(t *testing.T) {
	store := newSpy()
	srv := server.New(store, nil)
	for _, d := range []wire.Dialect{wire.Multileveldown, wire.ManyLevel} {
		p := newPeer(t, connect(t, srv), d)
		p.hello()
		p.send(wire.AppendGet(nil, 1, []byte("io"), 0))
		if r := p.expect(1, mld.ErrIO); !strings.Contains(r.Err.Error(), "the disk is gone") {
			t.Errorf("%s: %v", d, r.Err)
		}
		store.getFail = &mld.Error{Code: mld.CodeCorruption, Msg: "a block is bad"}
		p.send(wire.AppendGetMany(nil, 2, [][]byte{[]byte("a")}, 0))
		p.expect(2, mld.ErrCorruption)
		store.getFail = nil
		p.send(wire.AppendGetMany(nil, 3, [][]byte{[]byte("a")}, 0))
		p.expect(3, nil)
	}
	// A panic costs the connection its life, and no other's.
	p, other := dial(t, srv), dial(t, srv)
	p.hello()
	p.send(wire.AppendGet(nil, 1, []byte("panic"), 0))
	if r := p.receive(); r.Tag != wire.TagGoodbye || !errors.Is(r.Err, mld.ErrInternal) {
		t.Errorf("after a panic: tag %d, %v", r.Tag, r.Err)
	}
	p.expectEnd()
	other.send(wire.AppendGet(nil, 1, []byte("a"), 0))
	other.expect(1, mld.ErrNotFound)
}

func TestStats(t *testing.T) {
	srv := server.New(memstore.New(), nil)
	p := dial(t, srv)
	p.send(wire.AppendGet(wire.AppendPut(nil, 1, []byte("a"), []byte("1"), 0), 2, []byte("a"), 0))
	p.expect(1, nil)
	p.expect(2, nil)
	p.send(wire.AppendStats(nil, 3))
	text := string(p.expect(3, nil).Value)
	for _, want := range []string{
		`"engine":"memory"`, `"server_connections":1`, `"server_connections_accepted_total":1`, `"server_gets_total":1`,
		`"server_puts_total":1`, `"server_commits_total":1`, `"server_malformed_messages_total":0`, `"server_other_calls_total":1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the stats lack %s: %s", want, text)
		}
	}
}
