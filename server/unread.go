package server

import (
	"slices"
	"sync"
	"time"
)

// unread is what is being written to a client, which has not taken all of it.
type unread struct {
	mu    sync.Mutex
	bytes int // 0 when nothing is being written
	since time.Time
}

// begin takes note of a write.
func (u *unread) begin(bytes int, now time.Time) {
	u.mu.Lock()
	u.bytes, u.since = bytes, now
	u.mu.Unlock()
}

// end returns how many bytes begin noted, unless they were taken off already.
func (u *unread) end() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.bytes
	u.bytes = 0
	return n
}

// endIf is end if it is still the write that began at since, and else returns 0.
func (u *unread) endIf(since time.Time) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.since != since {
		return 0
	}
	n := u.bytes
	u.bytes = 0
	return n
}

// waiting returns since when a client has been written to; zero if it is not.
func (u *unread) waiting() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bytes == 0 {
		return time.Time{}
	}
	return u.since
}

// mayAnswer returns an error for an answer of which more bytes would wait for the
// client than may.
func (c *conn) mayAnswer(bytes int) error {
	l := &c.srv.opts.Limits
	switch {
	case bytes > l.ConnUnread:
		return errLimit("bytes of an answer that wait for one client to read them", l.ConnUnread, "max-connection-unread")
	case bytes > l.Unread:
		return errLimit("bytes of answers that wait for clients to read them", l.Unread, "max-unread")
	}
	return nil
}

// awaitReader takes note that bytes are written to a client, until readerDone.
func (s *Server) awaitReader(c *conn, bytes int, now time.Time) {
	c.unread.begin(bytes, now)
	if s.unread.Add(int64(bytes)) > int64(s.opts.Limits.Unread) && s.shedding.CompareAndSwap(false, true) {
		s.wg.Go(s.shed)
	}
}

func (s *Server) readerDone(c *conn) { s.unread.Add(-int64(c.unread.end())) }

// shed cuts the connections whose clients have let it wait for the longest, until
// no more is unread than may be.
func (s *Server) shed() {
	type reader struct {
		*conn
		since time.Time
	}
	var slow []reader
	s.mu.Lock()
	for c := range s.mu.conns {
		if since := c.unread.waiting(); !since.IsZero() {
			slow = append(slow, reader{c, since})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(slow, func(a, b reader) int { return a.since.Compare(b.since) })
	most := s.opts.Limits.Unread
	for _, r := range slow {
		if s.unread.Load() <= int64(most) {
			break
		}
		if n := r.unread.endIf(r.since); n > 0 {
			s.unread.Add(-int64(n))
			s.counters.shed.Add(1)
			// To close a stream can take time, as it does for TLS.
			s.wg.Go(func() {
				r.cut(errLimit("bytes of answers that wait for clients to read them", most, "max-unread"))
			})
		}
	}
	s.shedding.Store(false)
}
