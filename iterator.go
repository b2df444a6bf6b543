package mld

import (
	"bytes"
	"context"
	"iter"
)

// Iterator walks a range in its direction. It starts before the first entry:
//
//	for it.Next() {
//		use(it.Key(), it.Value())
//	}
//	err := it.Err()
//	it.Close()
//
// An iterator is used by one goroutine at a time. [All] and [Collect] take care
// of the steps above.
type Iterator interface {
	// Next moves to the next entry and reports whether there is one. It
	// returns false at the end, at the limit, and after an error.
	Next() bool

	// Seek makes the next call of Next go to the first entry, in the iterator's
	// direction, whose key is not before target: forwards the first key >=
	// target, in reverse the last key <= target. A target outside the bounds of
	// the range gives no entry, not the nearest one. Seek moves both ways,
	// revives an iterator that has ended, and does not start the limit anew.
	Seek(target []byte)

	// Key and Value return the entry that Next moved to. They are valid until
	// the next call of Next, Seek or Close and must not be changed.
	Key() []byte
	Value() []byte

	// Err returns what ended the walk early. The end of the range is no error.
	Err() error

	// Close releases the iterator and returns what Err does. It may be called
	// more than once.
	Close() error
}

// Walker is implemented by an iterator that moves over many entries in less time
// than by as many calls of its other methods.
type Walker interface {
	// Walk moves to the next entry and calls f with what Key and Value return
	// there, again and again, until f returns false or there is no next entry.
	// It reports whether f ended it; then the iterator is where f was last called.
	// The slices are valid until f returns and must not be changed. f must not
	// use the iterator, nor close its store.
	Walk(f func(key, value []byte) bool) (ended bool)
}

// Walk calls it's Walk where it is a [Walker], and else does the same with its
// other methods.
func Walk(it Iterator, f func(key, value []byte) bool) (ended bool) {
	if w, ok := it.(Walker); ok {
		return w.Walk(f)
	}
	for it.Next() {
		if !f(it.Key(), it.Value()) {
			return true
		}
	}
	return false
}

// Entry is a key and its value.
type Entry struct {
	Key   []byte
	Value []byte
}

// All returns the entries of a range for use in a for loop. Their slices are
// valid until the loop goes on to the next one. An error is yielded once, last,
// with an empty entry. Each use of the sequence walks the range anew.
func All(ctx context.Context, r Reader, o *IterOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		it, err := r.NewIterator(ctx, o)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer it.Close()
		for it.Next() {
			if !yield(Entry{it.Key(), it.Value()}, nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(Entry{}, err)
		}
	}
}

// Collect returns copies of the entries of a range, and with an error those that
// were read before it.
func Collect(ctx context.Context, r Reader, o *IterOptions) ([]Entry, error) {
	var entries []Entry
	for e, err := range All(ctx, r, o) {
		if err != nil {
			return entries, err
		}
		entries = append(entries, Entry{bytes.Clone(e.Key), bytes.Clone(e.Value)})
	}
	return entries, nil
}
