package server_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/wire"
)

// deferringSpy is a spy that can apply batches before they are durable.
type deferringSpy struct {
	*spy
	hardening chan mld.Durability // receives when Harden was called
	harden    chan error          // what it returns
}

func newDeferringSpy() *deferringSpy {
	return &deferringSpy{newSpy(), make(chan mld.Durability), make(chan error)}
}

// deferred is the durability that a spy records for a batch that was.
const deferred = mld.Durability(100)

func (s *deferringSpy) ApplyDeferred(ctx context.Context, b *mld.Batch, _ *mld.WriteOptions) error {
	return s.spy.Apply(ctx, b, &mld.WriteOptions{Durability: deferred})
}

func (s *deferringSpy) Harden(_ context.Context, o *mld.WriteOptions) error {
	s.hardening <- o.Durability
	return <-s.harden
}

// wantHarden waits for a call of Harden, and lets it wait.
func (s *deferringSpy) wantHarden(t *testing.T, d mld.Durability) {
	t.Helper()
	if got := <-s.hardening; got != d {
		t.Errorf("hardened as %v, want %v", got, d)
	}
}

// putAndGet are a put and a get of its key.
func putAndGet(id uint32, key, value string, d mld.Durability) []byte {
	frames := wire.AppendPut(nil, id, []byte(key), []byte(value), d)
	return wire.AppendGet(frames, id+1, []byte(key), 0)
}

// TestDeferredWrites has writes with reads between them applied before those, and
// made durable once for all, before anything is answered.
func TestDeferredWrites(t *testing.T) {
	store := newDeferringSpy()
	srv := server.New(store, &server.Options{Durability: mld.DurabilitySync})
	p := dial(t, srv)
	p.send(slices.Concat(putAndGet(1, "a", "1", 0), putAndGet(3, "a", "2", 0)))
	store.wantHarden(t, mld.DurabilitySync)
	if n := metric(t, srv, "server_sent_bytes_total"); n != 0 {
		t.Errorf("%v bytes were sent before the writes were durable", n)
	}
	store.harden <- nil
	values := map[uint32]string{}
	for range 4 {
		r := p.receive()
		values[r.ID] = string(bytes.Clone(r.Value))
	}
	if len(values) != 4 || values[2] != "1" || values[4] != "2" {
		t.Errorf("answers: %v", values)
	}
	if got := store.take(); !slices.Equal(got, []applied{{1, deferred}, {1, deferred}}) {
		t.Errorf("applied %v", got)
	}

	// A write that nobody reads after makes those before it durable, too.
	p.send(append(putAndGet(1, "a", "1", 0), wire.AppendPut(nil, 3, []byte("b"), nil, 0)...))
	for range 3 {
		p.receive()
	}
	if got := store.take(); !slices.Equal(got, []applied{{1, deferred}, {1, mld.DurabilitySync}}) {
		t.Errorf("applied %v", got)
	}

	// One that is to be less durable does not.
	p.send(append(putAndGet(1, "a", "1", 0), wire.AppendPut(nil, 3, []byte("b"), nil, mld.DurabilityNoSync)...))
	store.wantHarden(t, mld.DurabilitySync)
	store.harden <- nil
	for range 3 {
		p.receive()
	}
	if got := store.take(); !slices.Equal(got, []applied{{1, deferred}, {1, mld.DurabilityNoSync}}) {
		t.Errorf("applied %v", got)
	}
}

// TestDeferredIsRead has a connection that has read what another one deferred make
// it durable before it tells of it.
func TestDeferredIsRead(t *testing.T) {
	store := newDeferringSpy()
	srv := server.New(store, nil)
	writer, reader := dial(t, srv), dial(t, srv)
	writer.send(putAndGet(1, "a", "1", mld.DurabilitySync))
	store.wantHarden(t, mld.DurabilitySync)
	reader.send(wire.AppendGet(nil, 1, []byte("a"), 0))
	store.wantHarden(t, mld.DurabilityNoSync)
	if n := metric(t, srv, "server_sent_bytes_total"); n != 0 {
		t.Errorf("%v bytes were sent before", n)
	}
	store.harden <- nil
	store.harden <- nil
	if r := reader.expect(1, nil); string(r.Value) != "1" {
		t.Errorf("read %q", r.Value)
	}
	writer.receive()
	writer.receive()

	reader.send(wire.AppendGet(nil, 2, []byte("a"), 0))
	reader.expect(2, nil)
}

// TestDeferredIsRepeated has the repetition of a deferred write answered as that is,
// when it is known whether that is durable.
func TestDeferredIsRepeated(t *testing.T) {
	for _, fails := range []error{nil, &mld.Error{Code: mld.CodeIO, Msg: "the disk is gone"}} {
		store := newDeferringSpy()
		srv := withSessions(t, store, server.Options{})
		p := dial(t, srv)
		p.helloAs(1, false)
		store.take()
		sent := metric(t, srv, "server_sent_bytes_total")
		p.send(slices.Concat(numberedPut(1, 0, "a", "1"), wire.AppendGet(nil, 7, []byte("a"), 0), numberedPut(1, 0, "a", "1")))
		store.wantHarden(t, mld.DurabilityDefault)
		if n := metric(t, srv, "server_sent_bytes_total"); n != sent {
			t.Errorf("%v bytes were sent before", n-sent)
		}
		store.harden <- fails
		for range 3 {
			if r := p.receive(); r.ID == 1 && mld.CodeOf(r.Err) != mld.CodeOf(fails) {
				t.Errorf("call %d: %v, want %v", r.ID, r.Err, fails)
			}
		}
		if got := store.take(); !slices.Equal(got, []applied{{2, deferred}}) {
			t.Errorf("applied %v, want the write and its record once", got)
		}
	}
}

// TestDeferredFails has writes whose log fails after they were applied answered so,
// and no more taken.
func TestDeferredFails(t *testing.T) {
	store := newDeferringSpy()
	srv := withSessions(t, store, server.Options{})
	p := dial(t, srv)
	p.helloAs(1, false)
	p.send(append(numberedPut(1, 0, "a", "1"), wire.AppendGet(nil, 2, []byte("b"), 0)...))
	store.wantHarden(t, mld.DurabilityDefault)
	store.harden <- &mld.Error{Code: mld.CodeIO, Msg: "the disk is gone"}
	p.expect(1, mld.ErrIO)
	p.expect(2, mld.ErrNotFound)
	p.send(numberedPut(3, 0, "c", "1"))
	p.expect(3, mld.ErrIO)
}

// TestDeferredIsLeft has what a connection deferred made durable although the
// connection ends over what comes next.
func TestDeferredIsLeft(t *testing.T) {
	store := newDeferringSpy()
	p := dial(t, server.New(store, nil))
	p.send(append(putAndGet(1, "a", "1", 0), wire.AppendFrame(nil, []byte{0xff})...))
	store.wantHarden(t, mld.DurabilityDefault)
	store.harden <- nil
	p.receive()
	p.receive()
	p.expectEnd()
}
