package session_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/store/memstore"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes a new one")

func seeded(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func open(t *testing.T, store mld.Store, o *session.Options) *session.Registry {
	t.Helper()
	r, err := session.Open(t.Context(), store, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func attach(t *testing.T, r *session.Registry, id session.ID, known bool) *session.Session {
	t.Helper()
	s, err := r.Session(id, known)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do does a write as a server does, which increments key.
func do(t *testing.T, store mld.Store, s *session.Session, w session.Write, key string) error {
	t.Helper()
	done, err := s.Check(w)
	if done || err != nil {
		return err
	}
	var b mld.Batch
	b.Put([]byte(key), increment(t, store, key))
	s.Apply(w)
	b.Append(s.Op())
	if err := store.Apply(t.Context(), &b, nil); err != nil {
		s.Rollback()
		return err
	}
	s.Commit()
	return nil
}

func count(t *testing.T, store mld.Store, key string) uint64 {
	t.Helper()
	v, err := store.Get(t.Context(), []byte(key))
	if errors.Is(err, mld.ErrNotFound) {
		return 0
	} else if err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.Uint64(v)
}

func increment(t *testing.T, store mld.Store, key string) []byte {
	return binary.BigEndian.AppendUint64(nil, count(t, store, key)+1)
}

func TestRepeatedWrites(t *testing.T) {
	store := memstore.New()
	r := open(t, store, nil)
	id := session.ID{1}
	s := attach(t, r, id, false)
	write := func(n, watermark uint64) error {
		return do(t, store, s, session.Write{N: n, Watermark: watermark, Sum: uint32(n)}, "k")
	}
	for _, n := range []uint64{1, 1, 2, 1, 2, 3, 3} {
		if err := write(n, 0); err != nil {
			t.Fatal(n, err)
		}
	}
	if got := count(t, store, "k"); got != 3 {
		t.Fatalf("3 writes took effect %d times", got)
	}
	if err := write(4, 2); err != nil {
		t.Fatal(err)
	}
	if err := write(2, 1); !errors.Is(err, mld.ErrProtocol) {
		t.Errorf("a write below the watermark: %v", err)
	}
	if err := do(t, store, s, session.Write{N: 4, Watermark: 2, Sum: 99}, "k"); !errors.Is(err, mld.ErrProtocol) {
		t.Errorf("another write with the number of an old one: %v", err)
	}
	if err := write(6, 2); err != nil {
		t.Fatal(err)
	}
	if err := write(5, 2); !errors.Is(err, mld.ErrProtocol) {
		t.Errorf("a write that comes after a later one: %v", err)
	}
	if err := write(2+4097, 2); !errors.Is(err, mld.ErrLimitExceeded) {
		t.Errorf("a write beyond the window: %v", err)
	}
	if got := count(t, store, "k"); got != 5 {
		t.Errorf("5 writes took effect %d times", got)
	}
	// The process dies, and another one opens the store.
	r.Close()
	r2 := open(t, store, nil)
	defer r2.Close()
	if r2.StoreID() != r.StoreID() || r2.Generation() != r.Generation()+1 {
		t.Errorf("the store is %x, generation %d, after %x, %d", r2.StoreID(), r2.Generation(), r.StoreID(), r.Generation())
	}
	s = attach(t, r2, id, true)
	for _, n := range []uint64{3, 4, 6} {
		if err := write(n, 2); err != nil {
			t.Error(n, err)
		}
	}
	if got := count(t, store, "k"); got != 5 {
		t.Errorf("after a restart, 5 writes took effect %d times", got)
	}
}

func TestRefusalsAreRemembered(t *testing.T) {
	store := memstore.New()
	r := open(t, store, nil)
	s := attach(t, r, session.ID{2}, false)
	w := session.Write{N: 1, Sum: 7}
	if done, err := s.Check(w); done || err != nil {
		t.Fatal(done, err)
	}
	s.Refuse(w, &mld.Error{Code: mld.CodeRefused, Msg: "not on Sundays"})
	var b mld.Batch
	b.Append(s.Op())
	if err := store.Apply(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	s.Commit()
	r.Close()
	r = open(t, store, nil)
	defer r.Close()
	s = attach(t, r, session.ID{2}, true)
	done, err := s.Check(w)
	var e *mld.Error
	if !done || !errors.As(err, &e) || e.Code != mld.CodeRefused || e.Msg != "not on Sundays" {
		t.Errorf("a refusal is remembered as %v, %v", done, err)
	}
}

func TestRollback(t *testing.T) {
	store := memstore.New()
	r := open(t, store, nil)
	defer r.Close()
	s := attach(t, r, session.ID{3}, false)
	w := session.Write{N: 1, Sum: 7}
	s.Apply(w)
	if s.Committed(1) || !s.Dirty() {
		t.Error("a write counts as committed before it is")
	}
	s.Rollback()
	if done, err := s.Check(w); done || err != nil {
		t.Errorf("a write that was rolled back: %v, %v", done, err)
	}
}

func TestUnknownSession(t *testing.T) {
	store := memstore.New()
	r := open(t, store, nil)
	defer r.Close()
	s := attach(t, r, session.ID{4}, true)
	if done, err := s.Check(session.Write{N: 5, Watermark: 4}); done || !errors.Is(err, mld.ErrSessionLost) {
		t.Errorf("a session that the store never had: %v, %v", done, err)
	}
}

func TestMaxSessions(t *testing.T) {
	store := memstore.New()
	r := open(t, store, &session.Options{MaxSessions: 1})
	defer r.Close()
	s := attach(t, r, session.ID{1}, false)
	if err := do(t, store, s, session.Write{N: 1}, "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Session(session.ID{2}, false); !errors.Is(err, mld.ErrLimitExceeded) {
		t.Errorf("a second session of one: %v", err)
	}
	if err := r.End(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	attach(t, r, session.ID{2}, false)
	records, err := mld.Collect(t.Context(), store, &mld.IterOptions{Range: mld.ReservedRange()})
	if err != nil || len(records) != 1 {
		t.Errorf("%d records and %v, want the store's own alone", len(records), err)
	}
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		o := &session.Options{Lease: time.Hour}
		r := open(t, store, o)
		idle, used := session.ID{1}, session.ID{2}
		s := attach(t, r, idle, false)
		if err := do(t, store, s, session.Write{N: 1}, "k"); err != nil {
			t.Fatal(err)
		}
		r.Release(s)
		s = attach(t, r, used, false)
		if err := do(t, store, s, session.Write{N: 1}, "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Minute)
		// A restart begins the lease anew.
		r.Close()
		r = open(t, store, o)
		attach(t, r, used, true)
		time.Sleep(50 * time.Minute)
		if n := r.Len(); n != 2 {
			t.Fatalf("%d sessions within the lease, want 2", n)
		}
		time.Sleep(20 * time.Minute)
		if n := r.Len(); n != 1 {
			t.Fatalf("%d sessions after the lease of one, want 1", n)
		}
		for _, known := range []bool{true, false} {
			s = attach(t, r, idle, known)
			if _, err := s.Check(session.Write{N: 2, Watermark: 1}); !errors.Is(err, mld.ErrSessionLost) {
				t.Errorf("a session that has expired, known=%v: %v", known, err)
			}
		}
		time.Sleep(2 * time.Hour)
		records, err := mld.Collect(t.Context(), store, &mld.IterOptions{Range: mld.ReservedRange()})
		if err != nil || len(records) != 2 {
			t.Errorf("%d records and %v, want the store's own and one session", len(records), err)
		}
		r.Close()
	})
}

// TestRandomLosses plays a client whose answers get lost and whose server dies,
// and checks that each write took effect once.
func TestRandomLosses(t *testing.T) {
	rnd := seeded(t)
	store := memstore.New()
	r := open(t, store, nil)
	id := session.ID{9}
	s := attach(t, r, id, false)
	const writes = 2000
	answered := make([]bool, writes+2) // answered[n]
	watermark, next, known := uint64(0), uint64(1), false
	for watermark < writes {
		switch {
		case rnd.IntN(20) == 0: // the connection ends, and all pending is sent again
			r.Release(s)
			if rnd.IntN(3) == 0 {
				r.Close()
				r = open(t, store, nil)
			}
			s = attach(t, r, id, known)
			for n := watermark + 1; n < next; n++ {
				if answered[n] {
					continue
				}
				if err := do(t, store, s, session.Write{N: n, Watermark: watermark, Sum: uint32(n)}, "k"); err != nil {
					t.Fatalf("write %d with watermark %d: %v", n, watermark, err)
				}
				answered[n], known = rnd.IntN(3) > 0, true
			}
		case next <= writes && next <= watermark+50:
			if err := do(t, store, s, session.Write{N: next, Watermark: watermark, Sum: uint32(next)}, "k"); err != nil {
				t.Fatalf("write %d with watermark %d: %v", next, watermark, err)
			}
			answered[next] = rnd.IntN(4) > 0
			known = known || answered[next]
			next++
		}
		for answered[watermark+1] {
			watermark++
		}
	}
	r.Close()
	if got := count(t, store, "k"); got != writes {
		t.Errorf("%d writes took effect %d times", writes, got)
	}
}

func TestCorruptRecord(t *testing.T) {
	store := memstore.New()
	r := open(t, store, nil)
	s := attach(t, r, session.ID{1}, false)
	if err := do(t, store, s, session.Write{N: 1}, "k"); err != nil {
		t.Fatal(err)
	}
	key := s.Op().Key
	whole := s.Op().Value
	r.Close()
	for n := range len(whole) {
		if err := store.Put(t.Context(), key, whole[:n], nil); err != nil {
			t.Fatal(err)
		}
		if _, err := session.Open(context.Background(), store, nil); !errors.Is(err, mld.ErrCorruption) {
			t.Errorf("a record that is cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// TestReload has a session whose last batch may have been applied find out.
func TestReload(t *testing.T) {
	for _, applied := range []bool{false, true} {
		store := memstore.New()
		r := open(t, store, nil)
		s := attach(t, r, session.ID{5}, false)
		w := session.Write{N: 1, Sum: 7}
		s.Apply(w)
		if applied {
			var b mld.Batch
			b.Append(s.Op())
			if err := store.Apply(t.Context(), &b, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if done, err := s.Check(w); done != applied || err != nil {
			t.Errorf("applied %v: done %v, %v", applied, done, err)
		}
		r.Close()
		store.Close()
		if err := s.Reload(); !errors.Is(err, mld.ErrClosed) {
			t.Errorf("from a store that is closed: %v", err)
		}
		if done, err := s.Check(w); done || !errors.Is(err, mld.ErrClosed) {
			t.Errorf("a write while nobody knows: done %v, %v", done, err)
		}
	}
}

// TestUnknownSum has a write whose bytes could not be read recognised by its
// number alone.
func TestUnknownSum(t *testing.T) {
	store := memstore.New()
	r := open(t, store, nil)
	defer r.Close()
	s := attach(t, r, session.ID{6}, false)
	if err := do(t, store, s, session.Write{N: 1, Sum: 7}, "k"); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Check(session.Write{N: 1}); !done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	s.Refuse(session.Write{N: 2}, &mld.Error{Code: mld.CodeLimitExceeded})
	if done, err := s.Check(session.Write{N: 2, Sum: 8}); !done || !errors.Is(err, mld.ErrLimitExceeded) {
		t.Errorf("done %v, %v", done, err)
	}
	s.Rollback()
}

// TestEndedSession has a session that has ended take no more writes, whether it
// had any or not.
func TestEndedSession(t *testing.T) {
	store := memstore.New()
	r := open(t, store, nil)
	defer r.Close()
	for n, writes := range []uint64{0, 1} {
		s := attach(t, r, session.ID{7, byte(n)}, false)
		for n := range writes {
			if err := do(t, store, s, session.Write{N: n + 1}, "k"); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.End(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if done, err := s.Check(session.Write{N: writes + 1}); done || !errors.Is(err, mld.ErrSessionLost) {
			t.Errorf("after %d writes and the end: done %v, %v", writes, done, err)
		}
	}
}

// TestPrefixes keeps the sessions of one client below two prefixes, and of the
// whole store, apart.
func TestPrefixes(t *testing.T) {
	store := memstore.New()
	id := session.ID{1}
	prefixes := []string{"", "a", "a\xff", mld.ReservedPrefix}
	stores := map[session.ID]bool{}
	for range 2 { // the second time after each was closed
		var registries []*session.Registry
		for i, prefix := range prefixes {
			r := open(t, store, &session.Options{Prefix: []byte(prefix)})
			if want := uint64(len(stores)/len(prefixes)) + 1; r.Generation() != want {
				t.Errorf("%q: generation %d, want %d", prefix, r.Generation(), want)
			}
			if known := r.Len(); known != len(stores)/len(prefixes) && i == 0 {
				t.Errorf("%q: %d sessions", prefix, known)
			}
			registries = append(registries, r)
		}
		first := len(stores) == 0
		for i, r := range registries {
			stores[r.StoreID()] = true
			s := attach(t, r, id, !first)
			for n := range uint64(i + 1) { // as many as that, once
				if err := do(t, store, s, session.Write{N: n + 1, Sum: 1}, fmt.Sprint("key ", i)); err != nil {
					t.Errorf("%q: %v", prefixes[i], err)
				}
			}
			if r.Len() != 1 {
				t.Errorf("%q: %d sessions", prefixes[i], r.Len())
			}
			if n := count(t, store, fmt.Sprint("key ", i)); n != uint64(i+1) {
				t.Errorf("%q: written %d times", prefixes[i], n)
			}
		}
		for _, r := range registries {
			r.Close()
		}
	}
	if len(stores) != len(prefixes) {
		t.Errorf("%d stores for %d prefixes", len(stores), len(prefixes))
	}
	for e, err := range mld.All(t.Context(), store, nil) {
		if err != nil || !mld.IsReserved(e.Key) && !strings.HasPrefix(string(e.Key), "key ") {
			t.Errorf("%q, %v", e.Key, err)
		}
	}
}
