package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/multileveldown/mld"
)

// Write is how a client numbers a write.
type Write struct {
	// N is the number of the write, from 1 on.
	N uint64
	// Watermark is the number up to which the client has all its answers.
	Watermark uint64
	// Sum is a checksum of the write's bytes, by which a number that is used
	// twice for different writes is found out. 0 is not known: it is taken to
	// be what it should be.
	Sum uint32
}

// Session is what is remembered of one client. At a time one goroutine may use
// it: whoever serves the client sees to it that an older connection of the
// same client has ended first.
//
// For each write that arrives, call [Session.Check], and where the write is
// new, [Session.Apply] or [Session.Refuse]. Put [Session.Op] at the end of the
// batch that does the writes, and after it call [Session.Commit],
// [Session.Rollback], or where nobody knows whether the batch was applied,
// [Session.Reload].
type Session struct {
	registry *Registry
	id       ID
	key      []byte // of the record
	rec      record
	stored   int  // how many of the entries are in the store
	exists   bool // the store has a record
	lost     bool // the session has expired or ended, or never was
	doubt    bool // the store's record may be another one
	buf      []byte

	// Guarded by registry.mu.
	held bool      // the client is connected
	used time.Time // when it last was
}

// Check tells whether a write is new. If it is not, done is true and err is what
// was said of it: nil if it was applied, and else the error with which it was
// refused. If the write must not be done at all, done is false and err is
// [mld.ErrSessionLost], [mld.ErrLimitExceeded] for a number that is too far
// above the watermark, or [mld.ErrProtocol] for one that makes no sense.
func (s *Session) Check(w Write) (done bool, err error) {
	if s.doubt {
		if err := s.Reload(); err != nil {
			return false, err
		}
	}
	if s.lost {
		return false, errLost
	}
	r := &s.rec
	if w.N == 0 || w.Watermark >= w.N {
		return false, errProtocol("a write has the number %d and the watermark %d", w.N, w.Watermark)
	}
	if w.N > w.Watermark+uint64(s.registry.opts.Window) {
		return false, &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("write %d is more than %d above the watermark %d, the window of a session", w.N, s.registry.opts.Window, w.Watermark)}
	}
	s.forget(w.Watermark)
	if w.N <= r.watermark {
		return false, errProtocol("write %d was sent again after its answer had been acknowledged", w.N)
	}
	if w.N > r.last() {
		return false, nil
	}
	e := &r.entries[w.N-r.watermark-1]
	switch {
	case e.fate == absent:
		return false, errProtocol("write %d came after a later one", w.N)
	case e.sum != w.Sum && e.sum != 0 && w.Sum != 0:
		return false, errProtocol("the number %d was used for two different writes", w.N)
	case e.err != nil:
		return true, e.err
	}
	return true, nil
}

// Committed reports whether write n, which Check found done, is in the store. If
// it is not, the batch that it belongs to must be applied before it is answered.
func (s *Session) Committed(n uint64) bool {
	return n <= s.rec.watermark+uint64(s.stored)
}

// Apply takes note that a write that Check found new is in the batch.
func (s *Session) Apply(w Write) { s.note(w, entry{sum: w.Sum}) }

// Refuse takes note that a write that Check found new is refused with err.
func (s *Session) Refuse(w Write, err *mld.Error) {
	s.note(w, entry{sum: w.Sum, fate: refused, err: err})
}

func (s *Session) note(w Write, e entry) {
	r := &s.rec
	for r.last()+1 < w.N {
		r.entries = append(r.entries, entry{fate: absent})
	}
	r.entries = append(r.entries, e)
}

// Op returns the operation that stores the record. It is valid until the next
// call of Op.
func (s *Session) Op() mld.Op {
	s.buf = s.rec.appendTo(s.buf[:0])
	return mld.Op{Kind: mld.OpPut, Key: s.key, Value: s.buf}
}

// Dirty reports whether the record tells more than the store has.
func (s *Session) Dirty() bool { return s.stored < len(s.rec.entries) }

// Commit takes note that the batch with Op has been applied.
func (s *Session) Commit() {
	s.stored = len(s.rec.entries)
	if !s.exists {
		s.exists = true
		s.registry.add(s)
	}
}

// Rollback takes note that the batch with Op was not applied: what was noted
// since the last commit is forgotten.
func (s *Session) Rollback() { s.rec.entries = s.rec.entries[:s.stored] }

// Reload forgets what was noted since the last commit and reads the record
// again, since the batch with Op may have been applied or not. Until it can be
// read, Check refuses every write with the error of the store.
func (s *Session) Reload() error {
	s.Rollback()
	s.doubt = true
	p, err := s.registry.store.Get(context.Background(), s.key)
	if errors.Is(err, mld.ErrNotFound) {
		s.doubt = false
		s.lost = s.lost || s.exists
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the record of a session: %w", err)
	}
	rec, tombstone, err := decodeRecord(p)
	if err != nil {
		return err
	}
	s.doubt = false
	if tombstone {
		s.lost = true
		return nil
	}
	s.rec = rec
	s.Commit()
	return nil
}

// forget drops the entries up to the watermark.
func (s *Session) forget(watermark uint64) {
	r := &s.rec
	if watermark <= r.watermark {
		return
	}
	// A watermark above what was decided drops it all; the numbers between
	// never came, and never will.
	n := int(min(watermark-r.watermark, uint64(len(r.entries))))
	kept := copy(r.entries, r.entries[n:])
	clear(r.entries[kept:])
	r.entries = r.entries[:kept]
	r.watermark = watermark
	s.stored = max(s.stored-n, 0)
}

var errLost error = &mld.Error{Code: mld.CodeSessionLost, Msg: "the server does not know this session: it has expired, or the store is another one"}

func errProtocol(format string, args ...any) error {
	return &mld.Error{Code: mld.CodeProtocol, Msg: fmt.Sprintf(format, args...)}
}
