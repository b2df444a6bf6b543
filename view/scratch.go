package view

import "sync"

// scratch is memory for the encodings of one call. The store reads them until it
// returns, so that the next call can have it.
type scratch struct{ buf []byte }

// maxScratch is the capacity in bytes above which memory is not kept for reuse.
const maxScratch = 64 << 10

var scratches = sync.Pool{New: func() any { return &scratch{make([]byte, 0, 256)} }}

func newScratch() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) release() {
	if cap(s.buf) <= maxScratch {
		s.buf = s.buf[:0]
		scratches.Put(s)
	}
}

// encodeKey and encodeEntry return encodings that are valid until s is released.

func encodeKey[K, V any](s *scratch, r *Reader[K, V], op string, k K) (key []byte, err error) {
	s.buf, err = r.appendKey(s.buf, op, k)
	return s.buf, err
}

func encodeEntry[K, V any](s *scratch, r *Reader[K, V], op string, k K, v V) (key, value []byte, err error) {
	if key, err = encodeKey(s, r, op, k); err != nil {
		return nil, nil, err
	}
	n := len(key)
	both, err := r.value.Append(key, v)
	if err != nil {
		return nil, nil, encodeError(op, "value", key, err)
	}
	s.buf = both
	return both[:n:n], both[n:], nil
}
