package session

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/multileveldown/mld"
)

// Options configure a [Registry]. Nil is the zero value, and a zero field has
// the default that its comment states.
type Options struct {
	// Prefix says that only the keys that begin with it are served, see NewServed of
	// package store/namespace. What is kept for each prefix is apart: a session of one
	// is not known below another, which to a client is another store. By default all
	// keys are served.
	Prefix []byte
	// Lease is for how long a session is kept that nobody uses; 24 hours. Only
	// the time in which a process serves the store counts, and the death of the
	// process begins it anew, so no downtime and no change of the clock makes a
	// session expire.
	Lease time.Duration
	// MaxSessions is how many sessions there may be; 100,000. A new one above
	// that is refused, for no live one may be forgotten.
	MaxSessions int
	// Window is how far the number of a write may be above the watermark;
	// 4,096. It bounds a record, at 4 bytes for each.
	Window int
	// Logger gets what the registry does unasked. By default nothing is logged.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Lease <= 0 {
		d.Lease = 24 * time.Hour
	}
	if d.MaxSessions <= 0 {
		d.MaxSessions = 100_000
	}
	if d.Window <= 0 {
		d.Window = 4096
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// Registry holds the sessions of a store. Its methods may be called together.
// The store must have one Registry at a time for each prefix.
type Registry struct {
	store      mld.Store
	opts       Options
	keys       keys
	storeID    ID
	generation uint64

	mu         sync.Mutex
	sessions   map[ID]*Session // that have a record; guarded by mu
	tombstones map[ID]time.Time

	stop chan struct{}
	done chan struct{}
}

// Open reads the sessions of a store, and makes the store an id if it has none.
// It counts the store's generation up, durably: how often it has been opened in
// this way. The registry does not close the store, and must be closed before it.
func Open(ctx context.Context, store mld.Store, o *Options) (*Registry, error) {
	r := &Registry{
		store: store, opts: o.withDefaults(),
		sessions: make(map[ID]*Session), tombstones: make(map[ID]time.Time),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	r.keys = keysOf(r.opts.Prefix)
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	r.generation++
	meta := append([]byte{formatMeta}, r.storeID[:]...)
	meta = binary.AppendUvarint(meta, r.generation)
	if err := store.Put(ctx, r.keys.meta(), meta, mld.Sync); err != nil {
		return nil, fmt.Errorf("write the store's generation: %w", err)
	}
	go r.expire()
	return r, nil
}

// load reads what is in the reserved range.
func (r *Registry) load(ctx context.Context) error {
	meta, err := r.store.Get(ctx, r.keys.meta())
	switch {
	case errors.Is(err, mld.ErrNotFound):
		if _, err := rand.Read(r.storeID[:]); err != nil {
			return fmt.Errorf("make an id for the store: %w", err)
		}
	case err != nil:
		return fmt.Errorf("read the store's id: %w", err)
	default:
		d := decoder{p: meta}
		format := d.byte()
		copy(r.storeID[:], d.take(uint64(len(r.storeID))))
		r.generation = d.uvarint()
		if d.bad || format != formatMeta {
			return errCorrupt("id of the store")
		}
	}
	now := time.Now()
	sessions := r.keys.sessions()
	prefix := sessions.GTE
	for e, err := range mld.All(ctx, r.store, &mld.IterOptions{Range: sessions}) {
		if err != nil {
			return fmt.Errorf("read the sessions: %w", err)
		}
		var id ID
		if len(e.Key) != len(prefix)+len(id) {
			continue // a later version's
		}
		copy(id[:], e.Key[len(prefix):])
		rec, tombstone, err := decodeRecord(e.Value)
		if err != nil {
			return err
		}
		if tombstone {
			r.tombstones[id] = now
			continue
		}
		r.sessions[id] = &Session{registry: r, id: id, key: r.keys.session(id), rec: rec, stored: len(rec.entries), exists: true, used: now}
	}
	return nil
}

// StoreID returns the id of the store, by which a client finds out that it
// talks to another one than before.
func (r *Registry) StoreID() ID { return r.storeID }

// Generation returns how often the store has been opened with a registry.
func (r *Registry) Generation() uint64 { return r.generation }

// Window returns how far the number of a write may be above the watermark.
func (r *Registry) Window() int { return r.opts.Window }

// Lease returns for how long a session is kept that nobody uses.
func (r *Registry) Lease() time.Duration { return r.opts.Lease }

// Session returns the session of a client, which does not expire until
// [Registry.Release]. Known says that the client has had
// an answer to a write of the session: if there is no record then, the session
// is lost, and its Check says so. A session that is new is stored with its
// first write. A new one above [Options.MaxSessions] is refused with
// [mld.ErrLimitExceeded].
func (r *Registry) Session(id ID, known bool) (*Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.sessions[id]; ok {
		s.held = true
		return s, nil
	}
	s := &Session{registry: r, id: id, key: r.keys.session(id), held: true}
	if _, dead := r.tombstones[id]; dead || known {
		s.lost = true
	} else if len(r.sessions) >= r.opts.MaxSessions {
		return nil, &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("there are %d sessions already (max-sessions)", len(r.sessions))}
	}
	return s, nil
}

// Release takes note that the client of a session is not connected any more,
// which begins the lease.
func (r *Registry) Release(s *Session) {
	r.mu.Lock()
	s.held = false
	s.used = time.Now()
	r.mu.Unlock()
}

// End forgets a session whose client has said that it will not use it again.
func (r *Registry) End(ctx context.Context, s *Session) error {
	r.mu.Lock()
	delete(r.sessions, s.id)
	r.mu.Unlock()
	known := s.exists && !s.lost
	s.lost = true
	if !known {
		return nil
	}
	return r.store.Delete(ctx, s.key, mld.NoSync)
}

// Len returns how many sessions there are.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}

func (r *Registry) add(s *Session) {
	r.mu.Lock()
	r.sessions[s.id] = s
	r.mu.Unlock()
}

// Close stops the expiry of sessions.
func (r *Registry) Close() {
	close(r.stop)
	<-r.done
}

// expire ends the leases of sessions that nobody uses.
func (r *Registry) expire() {
	defer close(r.done)
	ticker := time.NewTicker(max(r.opts.Lease/16, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			if err := r.sweep(context.Background()); err != nil {
				r.opts.Logger.Error("could not expire sessions, will try again", "err", err)
			}
		}
	}
}

// sweep turns sessions whose lease is over into tombstones, and removes the
// tombstones that are older than another lease.
func (r *Registry) sweep(ctx context.Context) error {
	now := time.Now()
	var b mld.Batch
	var dead []*Session
	var forgotten []ID
	r.mu.Lock()
	for id, s := range r.sessions {
		if !s.held && now.Sub(s.used) > r.opts.Lease {
			dead = append(dead, s)
			b.Put(r.keys.session(id), []byte{formatTombstone})
			// From here on nobody finds the session.
			delete(r.sessions, id)
			r.tombstones[id] = now
		}
	}
	for id, since := range r.tombstones {
		if now.Sub(since) > r.opts.Lease {
			forgotten = append(forgotten, id)
			b.Delete(r.keys.session(id))
		}
	}
	r.mu.Unlock()
	if b.Len() == 0 {
		return nil
	}
	if err := r.store.Apply(ctx, &b, mld.Sync); err != nil {
		r.mu.Lock()
		for _, s := range dead {
			r.sessions[s.id] = s
			delete(r.tombstones, s.id)
		}
		r.mu.Unlock()
		return err
	}
	r.mu.Lock()
	for _, id := range forgotten {
		delete(r.tombstones, id)
	}
	r.mu.Unlock()
	r.opts.Logger.Info("sessions expired", "sessions", len(dead), "tombstones removed", len(forgotten))
	return nil
}
