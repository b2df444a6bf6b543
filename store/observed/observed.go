// Package observed notifies of the writes of a handle: an [mld.Store] that
// passes everything on to another one and tells its subscribers of each put,
// delete, batch and clear that was made through it and succeeded, and of its
// closing. They are the events of Level. Writes by other handles of the same
// data are not seen.
//
//	store := observed.New(inner, nil)
//	cancel := store.Subscribe(func(e observed.Event) {
//		log.Println(e.Kind, len(e.Ops))
//	})
//	defer cancel()
package observed

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/multileveldown/mld"
)

// Kind is what an [Event] tells of.
type Kind uint8

const (
	// Put is a value that was set: Ops has that one operation.
	Put Kind = iota + 1
	// Delete is a key that was removed, or was not there: Ops has that one
	// operation.
	Delete
	// Batch is a batch that was applied: Ops has its operations, in order. A
	// batch without operations is no event.
	Batch
	// Clear is a range that was cleared: Range is that range. Which entries it
	// had is not known.
	Clear
	// Closed is the end of the handle, whatever Close returned. Only events of
	// writes that were under way can follow it.
	Closed
)

// String returns "put", "del", "batch", "clear" or "closed", the names that
// Level programs use.
func (k Kind) String() string {
	switch k {
	case Put:
		return "put"
	case Delete:
		return "del"
	case Batch:
		return "batch"
	case Clear:
		return "clear"
	case Closed:
		return "closed"
	default:
		return "unknown"
	}
}

// Event is something that was done through the handle.
type Event struct {
	Kind  Kind
	Ops   []mld.Op
	Range mld.Range

	// Durability is what was asked for; the default is the store's choice.
	Durability mld.Durability

	// Missed is the number of events that a channel of [Store.Watch] had no
	// room for since the one before.
	Missed uint64
}

// Clone returns a copy of the event that shares no memory with it.
func (e Event) Clone() Event {
	e.Range = e.Range.Clone()
	var b mld.Batch
	for _, op := range e.Ops {
		switch op.Kind {
		case mld.OpDelete:
			b.Delete(op.Key)
		case mld.OpDeleteRange:
			b.DeleteRange(op.Key, op.Value)
		default:
			b.Put(op.Key, op.Value)
		}
	}
	e.Ops = b.Ops()
	return e
}

// Options modify a [Store]. Nil is the zero value.
type Options struct {
	// Logger is told, as an error with the stack, of subscribers that panic.
	// It defaults to [slog.Default], for nobody else hears of it.
	Logger *slog.Logger
}

// Store is a handle with subscribers. Its methods may be called together.
type Store struct {
	store  mld.Store
	logger *slog.Logger

	mu          sync.Mutex // held to change what follows
	closed      bool
	subscribers atomic.Pointer[[]*subscriber] // the list is replaced, never changed
}

type subscriber struct{ notify func(Event) }

var (
	_ mld.Store        = (*Store)(nil)
	_ mld.PinnedGetter = (*Store)(nil)
	_ mld.EachGetter   = (*Store)(nil)
	_ mld.Statser      = (*Store)(nil)
)

// New returns a handle on store. Closing it closes store.
func New(store mld.Store, o *Options) *Store {
	s := &Store{store: store}
	if o != nil {
		s.logger = o.Logger
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	s.subscribers.Store(&[]*subscriber{})
	return s
}

// Subscribe calls notify for each event from now on, until cancel is called,
// which may be done more than once and from within notify. A write that is under
// way when cancel is called may still be notified of.
//
// Notify is called by the goroutine that made the write, after the write and
// before the method that made it returns: whoever made a write knows that its
// subscribers have been called, and waits for them. So one goroutine's events
// come in the order of its writes. Writes that are made together notify together:
// calls of notify may overlap, and their order need not be that in which the
// store took the writes.
//
// A write that failed, one whose outcome is unknown included, is no event.
//
// The event's slices are the writer's: they are valid until notify returns and
// must not be changed. [Event.Clone] keeps an event.
//
// Subscribers are called in the order of their subscription. One that panics
// changes nothing for the others or for the write, which has succeeded; see
// [Options].
//
// A handle that is closed has no more events; subscribing to it does nothing.
func (s *Store) Subscribe(notify func(Event)) (cancel func()) {
	cancel, _ = s.subscribe(notify)
	return cancel
}

// subscribe returns false when the handle is closed.
func (s *Store) subscribe(notify func(Event)) (cancel func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return func() {}, false
	}
	sub := &subscriber{notify}
	subs := append(slices.Clone(*s.subscribers.Load()), sub)
	s.subscribers.Store(&subs)
	return func() { s.unsubscribe(sub) }, true
}

func (s *Store) unsubscribe(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	subs := slices.DeleteFunc(slices.Clone(*s.subscribers.Load()), func(x *subscriber) bool { return x == sub })
	s.subscribers.Store(&subs)
}

// notify calls the subscribers.
func (s *Store) notify(e Event) {
	for _, sub := range *s.subscribers.Load() {
		s.call(sub, e)
	}
}

func (s *Store) call(sub *subscriber, e Event) {
	defer func() {
		if r := recover(); r != nil {
			s.logger.Error("a subscriber of a store panicked",
				"event", e.Kind.String(), "panic", r, "stack", string(debug.Stack()))
		}
	}()
	sub.notify(e)
}

// observed reports whether anybody is subscribed.
func (s *Store) observed() bool { return len(*s.subscribers.Load()) > 0 }

// Put sets the value of key and notifies of it.
func (s *Store) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	err := s.store.Put(ctx, key, value, o)
	if err == nil && s.observed() {
		s.notify(Event{Kind: Put, Ops: []mld.Op{{Kind: mld.OpPut, Key: key, Value: value}}, Durability: durability(o)})
	}
	return err
}

// Delete removes key and notifies of it.
func (s *Store) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	err := s.store.Delete(ctx, key, o)
	if err == nil && s.observed() {
		s.notify(Event{Kind: Delete, Ops: []mld.Op{{Kind: mld.OpDelete, Key: key}}, Durability: durability(o)})
	}
	return err
}

// Apply applies a batch and notifies of it.
func (s *Store) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	err := s.store.Apply(ctx, b, o)
	if err == nil && b.Len() > 0 {
		s.notify(Event{Kind: Batch, Ops: b.Ops(), Durability: durability(o)})
	}
	return err
}

// Clear removes a range and notifies of it.
func (s *Store) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	err := s.store.Clear(ctx, r, o)
	if err == nil {
		s.notify(Event{Kind: Clear, Range: r, Durability: durability(o)})
	}
	return err
}

// Close closes the store below. The first Close notifies of it, whatever the
// store returned, and ends all subscriptions.
func (s *Store) Close() error {
	err := s.store.Close()
	s.mu.Lock()
	s.closed = true
	last := *s.subscribers.Swap(&[]*subscriber{})
	s.mu.Unlock()
	for _, sub := range last {
		s.call(sub, Event{Kind: Closed})
	}
	return err
}

// Get returns the value of key, or [mld.ErrNotFound].
func (s *Store) Get(ctx context.Context, key []byte) ([]byte, error) {
	return s.store.Get(ctx, key)
}

// GetPinned lends the value of key where the store below can, and else returns a
// copy of it.
func (s *Store) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	return mld.GetPinned(ctx, s.store, key)
}

// GetMany returns one value for each key.
func (s *Store) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return s.store.GetMany(ctx, keys)
}

// GetEach lends the values of keys one after the other where the store below can,
// and else goes through copies of them.
func (s *Store) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	return mld.GetEach(ctx, s.store, keys, f)
}

// NewIterator returns an iterator of the store below.
func (s *Store) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	return s.store.NewIterator(ctx, o)
}

// NewSnapshot returns a snapshot of the store below.
func (s *Store) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	return s.store.NewSnapshot(ctx)
}

// Stats returns what the store below tells of itself, or [mld.ErrUnsupported]
// where it cannot.
func (s *Store) Stats(ctx context.Context) (mld.Stats, error) {
	if t, ok := s.store.(mld.Statser); ok {
		return t.Stats(ctx)
	}
	return mld.Stats{}, &mld.Error{Code: mld.CodeUnsupported, Op: "stats", Msg: "the store does not tell of itself"}
}

func durability(o *mld.WriteOptions) mld.Durability { return o.Durable(mld.DurabilityDefault) }
