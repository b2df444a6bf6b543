package mld

import "bytes"

// Range selects keys. The zero Range selects all, forwards.
//
// A nil bound is none; an empty one that is not nil is a bound. Both bounds of
// one side may be given, and then both hold.
type Range struct {
	GT  []byte // keys greater than this
	GTE []byte // keys greater than or equal to this
	LT  []byte // keys less than this
	LTE []byte // keys less than or equal to this

	// Limit is the greatest number of entries; 0, or less, means no limit.
	Limit int
	// Reverse walks from the last key to the first.
	Reverse bool
}

// HalfOpen returns the range's bounds as lower <= key < upper. Nil means none.
// The slices are new where a bound had to be altered, else the range's own.
func (r *Range) HalfOpen() (lower, upper []byte) {
	lower = r.GTE
	if r.GT != nil && (lower == nil || bytes.Compare(r.GT, lower) >= 0) {
		lower = successor(r.GT)
	}
	upper = r.LT
	if r.LTE != nil && (upper == nil || bytes.Compare(r.LTE, upper) < 0) {
		upper = successor(r.LTE)
	}
	return lower, upper
}

// Contains reports whether key is within the range's bounds.
func (r *Range) Contains(key []byte) bool {
	return (r.GT == nil || bytes.Compare(key, r.GT) > 0) &&
		(r.GTE == nil || bytes.Compare(key, r.GTE) >= 0) &&
		(r.LT == nil || bytes.Compare(key, r.LT) < 0) &&
		(r.LTE == nil || bytes.Compare(key, r.LTE) <= 0)
}

// Empty reports whether no key can be within the range's bounds.
func (r *Range) Empty() bool {
	lower, upper := r.HalfOpen()
	return upper != nil && bytes.Compare(lower, upper) >= 0
}

// Clone returns a copy of the range that shares no memory with it.
func (r *Range) Clone() Range {
	c := *r
	c.GT, c.GTE = bytes.Clone(r.GT), bytes.Clone(r.GTE)
	c.LT, c.LTE = bytes.Clone(r.LT), bytes.Clone(r.LTE)
	return c
}

// successor returns the least key that is greater than key.
func successor(key []byte) []byte {
	s := make([]byte, len(key)+1)
	copy(s, key)
	return s
}

// IterOptions say what an iterator walks. Nil is the zero value: everything.
type IterOptions struct {
	Range

	// KeysOnly leaves the values out: Value returns nil. An engine need not
	// read them.
	KeysOnly bool
	// ValuesOnly leaves the keys out: Key returns nil. With KeysOnly it is
	// an error, [ErrInvalidArgument].
	ValuesOnly bool

	// Strict makes an iterator that would have to go on in another state of the
	// store fail with [ErrSnapshotLost] instead: a client's, whose connection
	// was lost half way. Engines, which have no such need, ignore it.
	Strict bool
}

// Validate returns an error that is [ErrInvalidArgument] when the options
// contradict each other. Nil is valid.
func (o *IterOptions) Validate() error {
	if o != nil && o.KeysOnly && o.ValuesOnly {
		return &Error{Code: CodeInvalidArgument, Op: "iterate", Msg: "KeysOnly and ValuesOnly exclude each other"}
	}
	return nil
}
